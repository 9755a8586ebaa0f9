from benchmark_bilevel.methods import (
    Calls,
    Implicit,
    assign,
    copy,
    descend,
    draw_hypergradient,
    neumann_hypergradient,
    storm,
    storm_momentum,
    zeros_like,
)
from benchmark_bilevel.parameters import Number
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """MRBO: STORM on ∇z g and on the hypergradient, z and x moving at the same time.

    With fresh batches B_y and B_x, the estimates u of ∇z g and d of the hypergradient
    become d ← D(z, x; B_x) + (1 − α_t) (d − D(z_old, x_old; B_x)), likewise u: the same
    samples at the new and at the old point. D is stocBiO's estimate, with Q fresh
    Hessians. Steps decrease as (t + 1)^(−1/3), α_t and β_t as their squares.

    Parameters
    ----------
    n_neumann : int
        Q, number of Hessian-vector products of an estimate.
    linear_step : float or None
        η of the Neumann series; it does not decrease. None means step_size.
    inner_momentum, outer_momentum : float
        β_1 and α_1, the weights at t = 1: the paper's c₂η_0² and c₁η_0².

    References
    ----------
    J. Yang, K. Ji, Y. Liang, "Provably faster algorithms for bilevel optimization",
    NeurIPS 2021. The constants are ours. (In the authors' code old and new variables are
    one list, and the correction vanishes.)
    """

    name = "MRBO"
    parameters = {
        "n_neumann": [10],
        "linear_step": [0.5],
        "inner_momentum": [0.9],
        "outer_momentum": [0.9],
        "step_exponent": [0.3333333333333333],
        "outer_exponent": [0.3333333333333333],
    }
    ranges = {
        "inner_momentum": Number(at_least=0, at_most=1),
        "outer_momentum": Number(at_least=0, at_most=1),
    }
    search_space = ["step_size", "linear_step", "outer_step", "n_neumann"]
    test_config = {"n_neumann": 3}
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
        n_neumann,
        linear_step,
        inner_momentum,
        outer_momentum,
        step_exponent,
    ):
        z, x, u, d, z_old, x_old = state
        i, samples = inner.draw(), draw_hypergradient(inner, outer, n_neumann)
        gz = inner.grad(z, x, i)
        h = neumann_hypergradient(inner, outer, z, x, linear_step, samples)
        if t == 0:
            assign(u, gz)
            assign(d, h)
        else:
            gz_old = inner.grad(z_old, x_old, i)
            h_old = neumann_hypergradient(
                inner, outer, z_old, x_old, linear_step, samples
            )
            storm(u, storm_momentum(t, inner_momentum, step_exponent), gz, gz_old)
            storm(d, storm_momentum(t, outer_momentum, step_exponent), h, h_old)
        assign(z_old, z)
        assign(x_old, x)
        outer.descend(x, steps.outer, d)
        descend(z, steps.inner, u)

    @staticmethod
    def oracle_calls(t, b, c, n, m, n_neumann):
        points = 1 if t == 0 else 2
        return Calls(
            outer_gradients=points * c,
            inner_gradients=points * b,
            hessian_vector_products=points * n_neumann * b,
            jacobian_vector_products=points * b,
        )

    @staticmethod
    def estimate(t, linear_step, n_neumann):
        return Implicit(0, n_neumann + 1, linear_step, simultaneous=True)
