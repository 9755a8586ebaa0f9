"""What the text of a solver is made of: verbs, estimators, variance reduction, facts.

The one place from which the author of a solver imports; the README lists what each does.
"""

from benchmark_bilevel.methods.directions import (
    add,
    assign,
    copy,
    descend,
    dot,
    scale,
    zeros_like,
)
from benchmark_bilevel.methods.estimators import (
    conjugate_gradient,
    draw_batch,
    draw_hypergradient,
    draw_large_batch,
    draw_series,
    hia,
    linear_sgd,
    mean_cross,
    mean_grad,
    mean_hvp,
    mean_outer_grad,
    n_blocks_of,
    neumann,
    neumann_hypergradient,
    sgd,
)
from benchmark_bilevel.methods.facts import Estimate
from benchmark_bilevel.methods.schedules import decay
from benchmark_bilevel.methods.variance_reduction import (
    empty_memory,
    saga,
    spider,
    storm,
    storm_momentum,
)

__all__ = [
    "Estimate",
    "add",
    "assign",
    "conjugate_gradient",
    "copy",
    "decay",
    "descend",
    "dot",
    "draw_batch",
    "draw_hypergradient",
    "draw_large_batch",
    "draw_series",
    "empty_memory",
    "hia",
    "linear_sgd",
    "mean_cross",
    "mean_grad",
    "mean_hvp",
    "mean_outer_grad",
    "n_blocks_of",
    "neumann",
    "neumann_hypergradient",
    "saga",
    "scale",
    "sgd",
    "spider",
    "storm",
    "storm_momentum",
    "zeros_like",
]
