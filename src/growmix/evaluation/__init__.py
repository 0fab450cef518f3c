"""Measures a model on the test sets of a stream, and holds the pure functions that it is measured with."""

from growmix.evaluation.evaluator import Evaluator, evaluate
from growmix.evaluation.student import evaluate_student

__all__ = ["Evaluator", "evaluate", "evaluate_student"]
