"""What is measured of a model over a stream, and the pure functions that it is measured with."""

from growmix.evaluation.evaluator import Evaluator, evaluate, evaluate_student

__all__ = ["Evaluator", "evaluate", "evaluate_student"]
