"""Tells of a run: while it goes, in its event log, in the table at its end, and in figures."""
