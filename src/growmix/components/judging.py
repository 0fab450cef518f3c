"""From several scores to one, and to the probabilities of the classes: a weighted sum, and whose word counts."""

from __future__ import annotations

from typing import Literal, TypeAlias

from torch import Tensor

ClassRule: TypeAlias = Literal["classifier", "score", "both"]
"""Whose word on the class counts: the classifier's, that of the scores, or the sum of the two."""

CLASS_RULES: tuple[ClassRule, ...] = ("classifier", "score", "both")


def judge(scores: Tensor, class_log_proba: Tensor, weights: Tensor, class_rule: ClassRule) -> tuple[Tensor, Tensor]:
    """Return one score of every example, and log-probabilities of its classes.

    Parameters
    ----------
    scores
        Score of every class from every source, shape ``(n, classes, sources)``, with one column of classes where there
        are none.
    class_log_proba
        Log-probabilities of the classes by a classifier, shape ``(n, classes)``.
    weights
        Weight of every source, shape ``(sources,)``.
    class_rule
        Whose word on the class counts.

    Returns
    -------
    score
        Logarithm of the sum over the classes of the exponentials of the weighted sums, shape ``(n,)``.
    class_log_proba
        Log-probabilities of the classes, shape ``(n, classes)``.

    Examples
    --------
    >>> scores = torch.tensor([[[1.0, 3.0], [1.0, 1.0]]])  # one example, two classes, two sources
    >>> score, log_proba = judge(scores, torch.tensor([[0.2, 0.8]]).log(), torch.tensor([1.0, 0.5]), "classifier")
    >>> log_proba.exp()
    tensor([[0.2000, 0.8000]])
    >>> judge(scores, log_proba, torch.tensor([1.0, 0.5]), "score")[1].exp()
    tensor([[0.7311, 0.2689]])
    """
    joint = scores @ weights.to(scores)
    score = joint.logsumexp(1)
    if class_log_proba.shape[1] == 0 or class_rule == "classifier":
        return score, class_log_proba
    both = joint if class_rule == "score" else joint + class_log_proba
    return score, both.log_softmax(1)
