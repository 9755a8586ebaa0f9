"""The truth about a problem: inner solution, hypergradient, reference minima, metrics."""
