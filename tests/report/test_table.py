from __future__ import annotations

from growmix.report.table import _density


def test_bits_per_dimension_are_left_out_where_there_are_none() -> None:
    likelihood = {"nats": [-10.0, -20.0], "bits_per_dim": [1.0, 2.0], "draws": 2, "examples": 30}
    (line,) = _density({"log_likelihood": likelihood})
    assert line == "Test log-likelihood: -15.00 nats, 1.5000 bits per dimension (2 draws, 30 examples a task)"
    (line,) = _density({"log_likelihood": likelihood | {"bits_per_dim": [None, None]}})
    assert line == "Test log-likelihood: -15.00 nats (2 draws, 30 examples a task)"
