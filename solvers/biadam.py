from benchmark_bilevel.methods import (
    Calls,
    Implicit,
    average,
    copy,
    decay,
    draw_hia_hypergradient,
    hia_hypergradient,
    scaled_descend,
    square_average,
    zeros_like,
)
from benchmark_bilevel.parameters import Number
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """BiAdam: moving averages v of ∇z g and w of the hypergradient, and Adam's scaling.

    (In the variant that is called saBiAdam, too, without an exact inverse.)
    With A = diag(√a) + ς and B = diag(√b) + ς, z ← z − η_t λ B⁻¹ v and
    x ← x + η_t (P_A(x − γ A⁻¹ w) − x); then, with fresh samples at the new point,
    v ← (1 − α_t) v + α_t ∇z g, w ← (1 − β_t) w + β_t h with h = ∇x f + J u and u the
    randomly truncated product −η N Π_{j≤p} (I − η H_j) ∇z f, a ← τ a + (1 − τ) h² and
    b ← τ b + (1 − τ) (∇z g)². Iteration 0 only takes the first samples.
    η_t = (t + 1)^(−1/2).

    Parameters
    ----------
    n_terms : int
        N, one more than the largest number of factors.
    linear_step : float or None
        η, not above 1 / L; it does not decrease. None means step_size.
    weight : float
        α_t = β_t = weight · η_t, with the η_t of x.
    memory : float
        τ in [0, 1).
    floor : float
        ς.

    References
    ----------
    F. Huang, H. Huang, "BiAdam: Fast adaptive bilevel optimization methods",
    arXiv:2106.11396, 2021. The constants are ours, and so is h in a, ∇x f being 0 in
    most problems. (Public code by others has no η_t, and v and w keep their first
    values by default.)
    """

    name = "BiAdam"
    parameters = {
        "n_terms": [10],
        "linear_step": [0.5],
        "weight": [0.9],
        "memory": [0.9],
        "floor": [0.01],
        "step_exponent": [0.5],
        "outer_exponent": [0.5],
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
        return z, x, averages

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
        z, x, (v, w, a, b) = state
        eta, x_new = decay(t, outer_exponent), copy(x)
        outer.scaled_descend(x_new, steps.outer / eta, w, a, floor)
        scaled_descend(z, steps.inner, v, b, floor)
        average(x, eta, x_new)
        gz = inner.grad(z, x, inner.draw())
        samples = draw_hia_hypergradient(inner, outer, n_terms)
        h = hia_hypergradient(inner, outer, z, x, linear_step, samples)
        new = 1.0 if t == 0 else weight * eta
        square_average(b, memory, gz)
        square_average(a, memory, h)
        average(v, new, gz)
        average(w, new, h)

    @staticmethod
    def oracle_calls(t, b, c, n, m, n_terms):
        return Calls(c, b, 0, (n_terms - 1) / 2 * b, b)

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
