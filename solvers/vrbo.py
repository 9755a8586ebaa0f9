import math

from benchmark_bilevel.methods import (
    Calls,
    Implicit,
    assign,
    copy,
    descend,
    draw_hypergradient,
    draw_large_batch,
    mean_grad,
    n_blocks_of,
    neumann_hypergradient,
    spider,
    zeros_like,
)
from benchmark_bilevel.parameters import Number
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """VRBO: SPIDER on ∇z g and on the hypergradient, with an inner loop on z.

    Every `period` iterations the estimates u of ∇z g and d of the hypergradient (that
    of stocBiO) start afresh from large batches. An iteration moves x along d; then an
    inner loop adds to u and d their change since the point before, with the same small
    batch at both points, and moves z along u. Its first change is from (z_k, x_k) to
    (z_k, x_{k+1}), its last one brings u and d to (z_{k+1}, x_{k+1}).

    Parameters
    ----------
    n_inner : int
        m + 1, number of steps on z in an iteration.
    n_neumann : int
        Q, number of Hessian-vector products of an estimate.
    linear_step : float or None
        η of the Neumann series; it does not decrease. None means step_size.
    period : int
        Iterations from one large batch to the next.
    large_fraction : float
        Size of the large batches as a fraction of the data, in (0, 1].

    References
    ----------
    J. Yang, K. Ji, Y. Liang, "Provably faster algorithms for bilevel optimization",
    NeurIPS 2021. The constants are ours. (In public code the inner loop has the new x
    at both points.)
    """

    name = "VRBO"
    parameters = {
        "n_inner": [10],
        "n_neumann": [10],
        "linear_step": [0.5],
        "period": [32],
        "large_fraction": [1.0],
    }
    ranges = {"large_fraction": Number(above=0, at_most=1)}
    search_space = ["step_size", "linear_step", "outer_step", "n_neumann", "period"]
    test_config = {"n_inner": 3, "n_neumann": 3, "period": 4}
    shares_samples = False
    needs_all_of_z = True

    @staticmethod
    def init(inner, outer, z, x):
        return z, x, zeros_like(z), zeros_like(x), copy(z), copy(x)

    @staticmethod
    def step(
        inner,
        outer,
        state,
        steps,
        t,
        n_inner,
        n_neumann,
        linear_step,
        period,
        large_fraction,
    ):
        z, x, u, d, z_old, x_old = state
        if t % period == 0:
            batch = draw_large_batch(inner, n_blocks_of(inner, large_fraction))
            samples = draw_hypergradient(inner, outer, n_neumann, large_fraction)
            assign(u, mean_grad(inner, z, x, batch))
            assign(d, neumann_hypergradient(inner, outer, z, x, linear_step, samples))
        assign(z_old, z)
        assign(x_old, x)
        outer.descend(x, steps.outer, d)
        for k in range(n_inner + 1):
            i, samples = inner.draw(), draw_hypergradient(inner, outer, n_neumann)
            spider(u, inner.grad(z, x, i), inner.grad(z_old, x_old, i))
            spider(
                d,
                neumann_hypergradient(inner, outer, z, x, linear_step, samples),
                neumann_hypergradient(inner, outer, z_old, x_old, linear_step, samples),
            )
            assign(z_old, z)
            assign(x_old, x)
            if k < n_inner:
                descend(z, steps.inner, u)

    @staticmethod
    def oracle_calls(t, b, c, n, m, n_inner, n_neumann, period, large_fraction):
        from_f, from_g = 2 * (n_inner + 1) * c, 2 * (n_inner + 1) * b
        if t % period == 0:
            from_f += min(math.ceil(large_fraction * math.ceil(m / c) - 1e-9) * c, m)
            from_g += min(math.ceil(large_fraction * math.ceil(n / b) - 1e-9) * b, n)
        return Calls(
            outer_gradients=from_f,
            inner_gradients=from_g,
            hessian_vector_products=n_neumann * from_g,
            jacobian_vector_products=from_g,
        )

    @staticmethod
    def estimate(t, linear_step, n_inner, n_neumann):
        return Implicit(0, n_neumann + 1, linear_step, later_steps=n_inner)
