"""What is loaded only where it is used: an import of growmix costs little more than one of torch."""

from __future__ import annotations

import subprocess
import sys

LATE = ("lightning_fabric", "sklearn", "torchmetrics", "matplotlib", "pyarrow", "scipy", "rich", "cyclopts", "yaml")


def test_a_mixture_is_imported_without_what_only_training_pictures_or_files_need() -> None:
    asked = f"import sys, growmix; growmix.GrowingMixture; print('loaded:', *set({LATE}) & sys.modules.keys())"
    told = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert told.stdout == "loaded:\n"
