from benchmark_bilevel.methods import (
    Implicit,
    conjugate_gradient,
    descend,
    draw_batch,
    norm,
    zeros_like,
)
from benchmark_bilevel.parameters import Number
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """HOAG: both systems solved to a tolerance that falls, then a projected step.

    With ε_t = max(ε r^t, 1e-12): z by gradient descent ρ on g(·, x), warm-started,
    until ‖∇z g‖ ≤ ε_t; v by conjugate gradients, warm-started, until ‖H v + ∇z f‖ ≤ ε_t;
    x ← P(x − γ (∇x f + J v)). Batches are full by default. (In float32 no solve ends by a
    tolerance below some 1e-6: then each makes all its steps.)

    Parameters
    ----------
    tolerance : float
        ε.
    reduction : float
        r in (0, 1].
    max_solver_steps : int
        At most so many steps of each solve. The next iteration goes on from there, so
        that a solve cut short does not change where x rests.

    References
    ----------
    F. Pedregosa, "Hyperparameter optimization with approximate gradient", ICML 2016.
    The constants are ours, and gradient descent stands for L-BFGS. (The author's code
    adapts γ, and makes each accepted step twice.)
    """

    name = "HOAG"
    parameters = {
        "tolerance": [1e-3],
        "reduction": [0.9],
        "max_solver_steps": [1_000],
        "batch_size": ["full"],
        "outer_batch_size": ["full"],
    }
    ranges = {
        "tolerance": Number(above=0),
        "reduction": Number(above=0, at_most=1),
    }
    search_space = ["step_size", "outer_step", ("tolerance", 1e-6, 1.0)]
    # As good as exact from the first iteration on, so that each can be compared.
    test_config = {"tolerance": 1e-9, "max_solver_steps": 300}
    unbiased = False  # it solves each batch's system
    needs_minimisation = True

    @staticmethod
    def init(inner, outer, z, x):
        return z, x, zeros_like(z)

    @staticmethod
    def step(inner, outer, state, steps, t, tolerance, reduction, max_solver_steps):
        z, x, v = state
        goal, batch = max(tolerance * reduction**t, 1e-12), draw_batch(inner, 1)
        for _ in range(max_solver_steps):
            gz = inner.grad(z, x, batch[0])
            if not norm(gz) > goal:
                break
            descend(z, steps.inner, gz)
        fz, fx = outer.grad(z, x, outer.draw())
        conjugate_gradient(inner, z, x, v, fz, max_solver_steps, batch, goal)
        jv = inner.cross(z, x, v, batch[0])
        outer.descend(x, steps.outer, jv, fx)

    @staticmethod
    def estimate(t):
        return Implicit(None, None)
