"""The import path of the first versions goes on to work."""

from __future__ import annotations

from growmix import nets
from growmix.components import convolution
from growmix.components import nets as home


def test_blueprints_are_where_they_were_and_the_same_objects() -> None:
    for name in nets.__all__:
        assert getattr(nets, name) is getattr(convolution if name == "Conv" else home, name)
