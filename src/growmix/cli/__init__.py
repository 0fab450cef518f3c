"""The command line."""

from growmix.cli.app import main

__all__ = ["main"]
