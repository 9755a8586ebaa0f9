"""The checks that every solver has to pass."""

from benchmark_bilevel.verification.conduct import (
    constraint,
    divergence,
    problems,
    runtimes,
)
from benchmark_bilevel.verification.counting import budget, counts
from benchmark_bilevel.verification.iterations import bias, directions
from benchmark_bilevel.verification.limits import limit
from benchmark_bilevel.verification.sampling import samples
from benchmark_bilevel.verification.settled import settled_hypergradient
from benchmark_bilevel.verification.state import data_stay, seeds, variables_move
from benchmark_bilevel.verification.tuning import (
    parameters_matter,
    search_space,
    steps_matter,
)

# The ones that compile nothing and those that say most come first.
SOLVER_CHECKS = (
    search_space,
    parameters_matter,
    variables_move,
    steps_matter,
    data_stay,
    seeds,
    settled_hypergradient,
    directions,
    limit,
    bias,
    counts,
    samples,
    divergence,
    constraint,
    budget,
    runtimes,
    problems,
)
