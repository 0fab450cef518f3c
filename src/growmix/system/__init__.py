"""The machine and the process: memory, locks, interrupts, paths, and what a caller has set in torch."""
