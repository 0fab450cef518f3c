"""Contract suites for a user's own gate, novelty measure, component and method.

Each check takes an object of yours (or what makes it), tries every promise that growmix relies on, and returns the
names of the promises that were kept. The first promise that is broken raises ``AssertionError`` with a sentence that
says what was expected and what came.
"""

from growmix.checks.component import check_component
from growmix.checks.gate import check_gate
from growmix.checks.method import check_method
from growmix.checks.novelty import check_novelty

__all__ = ["check_component", "check_gate", "check_method", "check_novelty"]
