"""The paper's theory, measured: discrepancy distance, complexity, bounds, and the ledger of a run."""

from growmix.theory.bounds import Bound, lemma_3, student_bound, theorem_1, theorem_2
from growmix.theory.complexity import finite_sample_term, rademacher
from growmix.theory.discrepancy import Discrepancy, Search, discrepancy
from growmix.theory.hypotheses import MLP, Conv, Finite, Linear, Trainable, half_planes, thresholds
from growmix.theory.ledger import RiskLedger
from growmix.theory.losses import Absolute, Loss, Squared, ZeroOne

__all__ = [
    "MLP",
    "Absolute",
    "Bound",
    "Conv",
    "Discrepancy",
    "Finite",
    "Linear",
    "Loss",
    "RiskLedger",
    "Search",
    "Squared",
    "Trainable",
    "ZeroOne",
    "discrepancy",
    "finite_sample_term",
    "half_planes",
    "lemma_3",
    "rademacher",
    "student_bound",
    "theorem_1",
    "theorem_2",
    "thresholds",
]
