"""Hyper-parameter selection, its kernels and its exact layer on sparse data."""
