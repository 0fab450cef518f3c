"""What a run says: while it goes, in its event log, and in the table at its end."""
