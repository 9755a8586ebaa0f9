"""Random quadratics and their kernels."""
