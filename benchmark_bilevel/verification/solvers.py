"""The checks that every solver has to pass."""

from benchmark_bilevel.verification.conduct import (
    budget,
    constraint,
    counts,
    divergence,
    draws,
    runtimes,
    samples,
    seeds,
)
from benchmark_bilevel.verification.hypergradient import (
    bias,
    directions,
    limit,
    settled_hypergradient,
)

# The ones that say most come first, the one that compiles for every problem last.
SOLVER_CHECKS = (
    settled_hypergradient,
    directions,
    limit,
    bias,
    counts,
    samples,
    draws,
    seeds,
    divergence,
    constraint,
    budget,
    runtimes,
)
