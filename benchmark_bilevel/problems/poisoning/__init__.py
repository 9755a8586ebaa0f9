"""Data poisoning, its projections and its kernels."""
