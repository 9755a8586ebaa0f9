"""Data hyper-cleaning and its kernels."""
