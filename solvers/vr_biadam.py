from benchmark_bilevel.methods import (
    Calls,
    Implicit,
    assign,
    average,
    copy,
    decay,
    draw_hia_hypergradient,
    hia_hypergradient,
    scaled_descend,
    square_average,
    storm,
    zeros_like,
)
from benchmark_bilevel.parameters import Number
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """VR-BiAdam (VR-saBiAdam): BiAdam with STORM instead of moving averages.

    As BiAdam, but v ← ∇z g + (1 − α_t) (v − ∇z g_old) and w ← h + (1 − β_t) (w − h_old),
    ∇z g_old and h_old being from the same samples (and the same p) at the point before.
    η_t = (t + 1)^(−1/3), and the weights fall with its square. Iteration 0 only takes
    the first samples.

    Parameters
    ----------
    n_terms, linear_step, memory, floor
        As for BiAdam.
    weight : float
        α_t = β_t = weight · η_t², with the η_t of x.

    References
    ----------
    F. Huang, H. Huang, "BiAdam: Fast adaptive bilevel optimization methods",
    arXiv:2106.11396, 2021. The constants are ours, and so is h in a. (Public code by
    others has no η_t.)
    """

    name = "VR-BiAdam"
    parameters = {
        "n_terms": [10],
        "linear_step": [0.5],
        "weight": [0.9],
        "memory": [0.9],
        "floor": [0.01],
        "step_exponent": [0.3333333333333333],
        "outer_exponent": [0.3333333333333333],
    }
    ranges = {
        "weight": Number(above=0, at_most=1),
        "memory": Number(at_least=0, below=1),
        "floor": Number(above=0),
    }
    search_space = ["step_size", "linear_step", "outer_step", "n_terms", "weight"]
    test_config = {"n_terms": 4, "weight": 0.5, "floor": 0.1}
    shares_samples = False
    scales_steps = True
    needs_all_of_z = True

    @staticmethod
    def init(inner, outer, z, x):
        averages = zeros_like(z), zeros_like(x), zeros_like(x), zeros_like(z)
        return z, x, averages, copy(z), copy(x)

    @staticmethod
    def step(
        inner,
        outer,
        state,
        steps,
        t,
        n_terms,
        linear_step,
        weight,
        memory,
        floor,
        outer_exponent,
    ):
        z, x, (v, w, a, b), z_old, x_old = state
        assign(z_old, z)
        assign(x_old, x)
        eta, x_new = decay(t, outer_exponent), copy(x)
        outer.scaled_descend(x_new, steps.outer / eta, w, a, floor)
        scaled_descend(z, steps.inner, v, b, floor)
        average(x, eta, x_new)
        i, samples = inner.draw(), draw_hia_hypergradient(inner, outer, n_terms)
        gz, gz_old = inner.grad(z, x, i), inner.grad(z_old, x_old, i)
        h = hia_hypergradient(inner, outer, z, x, linear_step, samples)
        h_old = hia_hypergradient(inner, outer, z_old, x_old, linear_step, samples)
        new = 1.0 if t == 0 else weight * eta**2
        square_average(b, memory, gz)
        square_average(a, memory, h)
        storm(v, new, gz, gz_old)
        storm(w, new, h, h_old)

    @staticmethod
    def oracle_calls(t, b, c, n, m, n_terms):
        return Calls(2 * c, 2 * b, 0, (n_terms - 1) * b, 2 * b)

    @staticmethod
    def estimate(t, linear_step, n_terms):
        return Implicit(
            0,
            n_terms,
            linear_step,
            truncations=n_terms,
            use="scaled",
            inner_use="scaled",
        )
