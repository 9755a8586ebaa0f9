from benchmark_bilevel.methods import (
    Calls,
    Implicit,
    as_variable,
    copy,
    descend,
    dot,
    scale,
    sgd,
)
from benchmark_bilevel.parameters import Number
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """BOME: z and x descend along ∇f + λ ∇q, with q = g(z, x) − g(ẑ, x) and λ dynamic.

    ẑ is z after T steps of gradient descent on g(·, x), taken as a constant, so that
    ∇q = (∇z g(z), ∇x g(z) − ∇x g(ẑ)); λ = max(0, (φ − ⟨∇f, ∇q⟩) / ‖∇q‖²) with
    φ = η ‖∇q‖². Then z ← z − ρ (∇z f + λ ∇z q) and x ← P(x − γ (∇x f + λ ∇x q)), at the
    same time. Batches are full. For a fixed T, λ saturates at O(1 / ρ) and x ends at
    a distance O(ρ) from where a Neumann series of T terms would have it rest.

    Parameters
    ----------
    n_inner : int
        T.
    linear_step : float or None
        Step of ẑ's descent. None means step_size.
    barrier : float
        η of φ.

    References
    ----------
    M. Ye, B. Liu, S. Wright, P. Stone, Q. Liu, "BOME! Bilevel optimization made easy: a
    simple first-order approach", NeurIPS 2022. (The other φ there, η q, which its
    hyper-cleaning takes, is not here.)
    """

    name = "BOME"
    parameters = {
        "n_inner": [10],
        "barrier": [0.5],
        "batch_size": ["full"],
        "outer_batch_size": ["full"],
    }
    ranges = {"barrier": Number(above=0)}
    search_space = ["step_size", "linear_step", "outer_step", "n_inner"]
    test_config = {"n_inner": 4}
    unbiased = False  # λ is a ratio
    needs_all_of_z = True

    @staticmethod
    def init(inner, outer, z, x):
        return z, x

    @staticmethod
    def step(inner, outer, state, steps, t, n_inner, barrier):
        z, x = state
        z_end = copy(z)
        sgd(inner, z_end, x, steps.linear, n_inner)
        i = inner.draw()
        gz, gx = inner.grads(z, x, i)
        q_z, q_x = as_variable(gz, z), as_variable(gx, x)
        descend(q_x, 1.0, inner.grad_x(z_end, x, i))
        fz, fx = outer.grad(z, x, outer.draw())
        square = dot(q_z, q_z) + dot(q_x, q_x)
        product = dot(fz, q_z) + dot(fx, q_x)
        multiplier = max(0.0, barrier - product / (square + 1e-30))
        descend(z, steps.inner, fz)
        descend(z, steps.inner * multiplier, q_z)
        scale(q_x, multiplier)
        outer.descend(x, steps.outer, q_x, fx)

    @staticmethod
    def oracle_calls(t, b, c, n, m, n_inner):
        return Calls(
            outer_gradients=c,
            inner_gradients=(n_inner + 1) * b,
            inner_gradients_x=2 * b,
        )

    @staticmethod
    def estimate(t, linear_step, n_inner):
        return Implicit(0, n_inner, linear_step, use="vanishing")
