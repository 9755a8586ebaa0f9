"""Numerics in numba that know no problem: products, exponentials, directions by rows."""
