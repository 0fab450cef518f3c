"""The mixture: novelty, gating, growth, replay, routing, history, and the student that it teaches."""
