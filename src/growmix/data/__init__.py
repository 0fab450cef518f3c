"""Checks what users hand over and brings it into the form of one task."""

from growmix.data.domain import Domain, Shape, Support
from growmix.data.task import TaskData, check_data, check_examples, check_labels, check_task

__all__ = ["Domain", "Shape", "Support", "TaskData", "check_data", "check_examples", "check_labels", "check_task"]
