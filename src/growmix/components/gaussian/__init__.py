"""Components of Gaussians in closed form, for vectors: learnt from sums, exact in any order and any batches."""
