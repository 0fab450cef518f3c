"""From what users hand over to the data of one task, checked."""

from growmix.data.task import TaskData, check_data, check_images, check_labels, check_task

__all__ = ["TaskData", "check_data", "check_images", "check_labels", "check_task"]
