"""Several runs that answer one question: methods beside each other, and the paper's experiments."""
