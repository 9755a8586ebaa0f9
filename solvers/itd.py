from benchmark_bilevel.methods import (
    Calls,
    Unrolled,
    as_variable,
    assign,
    copy,
    draw_blocks,
    reverse_sweep,
    stored_sgd,
    trajectory,
)
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """ITD (ITD-BiO): gradient steps on z, and the derivative of f through all of them.

    z takes `n_inner` steps on g to z_T(x); then x ← P(x − γ d/dx f(z_T(x), x)), by a
    sweep back along the stored steps: p = ∇z f, h = ∇x f, and for t = T − 1, …, 0
    h ← h − ρ J_t p, p ← p − ρ H_t p. Batches are full unless stated; a step's small one
    serves its derivatives, too.

    Parameters
    ----------
    n_inner : int
        T, number of steps on z; as many z are kept.
    warm_start : bool
        Whether z goes on where it was, which x's step takes as a constant; else it
        starts at z0, and x descends a function of x alone, f(z_T(x), x).

    References
    ----------
    R. Grazzi, L. Franceschi, M. Pontil, S. Salzo, "On the iteration complexity of
    hypergradient computation", ICML 2020.
    K. Ji, J. Yang, Y. Liang, "Bilevel optimization: Convergence analysis and enhanced
    design", ICML 2021. The constants are ours.
    """

    name = "ITD"
    parameters = {
        "n_inner": [10],
        "warm_start": [True],
        "batch_size": ["full"],
        "outer_batch_size": ["full"],
    }
    search_space = ["step_size", "outer_step", "n_inner"]
    test_config = {"n_inner": 3}
    shares_samples = True
    unbiased = False  # with small batches: z_T and its derivative share them

    @staticmethod
    def init(inner, outer, z, x, n_inner):
        return z, x, copy(z), trajectory(z, n_inner)

    @staticmethod
    def step(inner, outer, state, steps, t, n_inner, warm_start):
        z, x, z0, path = state
        if not warm_start:
            assign(z, z0)
        blocks = draw_blocks(inner, n_inner)
        stored_sgd(inner, z, x, steps.inner, blocks, path)
        fz, fx = outer.grad(z, x, outer.draw())
        p, h = as_variable(fz, z), as_variable(fx, x)
        reverse_sweep(inner, x, p, h, steps.inner, blocks, path)
        outer.descend(x, steps.outer, h)

    @staticmethod
    def oracle_calls(t, b, c, n, m, n_inner):
        return Calls(
            outer_gradients=c,
            inner_gradients=n_inner * b,
            hessian_vector_products=n_inner * b,
            jacobian_vector_products=n_inner * b,
        )

    @staticmethod
    def estimate(t, n_inner, warm_start):
        return Unrolled(n_inner, warm_z=warm_start)
