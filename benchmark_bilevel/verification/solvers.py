"""The checks that every solver has to pass."""

from benchmark_bilevel.verification.conduct import (
    budget,
    constraint,
    counts,
    divergence,
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

SOLVER_CHECKS = (
    runtimes,
    settled_hypergradient,
    directions,
    limit,
    bias,
    counts,
    samples,
    seeds,
    divergence,
    constraint,
    budget,
)
