"""The command line of growmix: one file for each small family of commands."""

from growmix.cli.app import main

__all__ = ["main"]
