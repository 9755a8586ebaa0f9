from benchmark_bilevel.methods import (
    Calls,
    Unrolled,
    assign,
    copy,
    descend,
    dot,
    draw_blocks,
    sgd_along,
    zeros_like,
)
from benchmark_bilevel.parameters import Number
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """PZOBO: the derivative of the last iterate on z by random perturbations of x.

    z_T(x) is z after T steps of SGD on g(·, x), warm-started. With u_1, …, u_Q standard
    normal and the steps of z_T(x + μ u_q) from the same z and with the same samples,
    x ← P(x − γ (∇x f + (1/Q) Σ_q ⟨(z_T(x + μ u_q) − z_T(x)) / μ, ∇z f⟩ u_q)), whose mean
    is ITD's direction where z_T is affine in x. No second derivatives.

    Parameters
    ----------
    n_inner : int
        T.
    n_perturbations : int
        Q.
    smoothing : float
        μ.

    References
    ----------
    D. Sow, K. Ji, Y. Liang, "On the convergence theory for Hessian-free bilevel
    algorithms", NeurIPS 2022. (The authors' notebook has u on the unit sphere without
    the factor dim x.)
    """

    name = "PZOBO"
    parameters = {"n_inner": [10], "n_perturbations": [10], "smoothing": [0.01]}
    ranges = {"smoothing": Number(above=0)}
    search_space = [
        "step_size",
        "outer_step",
        "n_inner",
        "n_perturbations",
        "smoothing",
    ]
    test_config = {"n_inner": 3, "n_perturbations": 2}
    shares_samples = False
    needs_all_of_z = True

    @staticmethod
    def init(inner, outer, z, x):
        return z, x

    @staticmethod
    def step(inner, outer, state, steps, t, n_inner, n_perturbations, smoothing):
        z, x = state
        z_start, z_end, x_near = copy(z), copy(z), copy(x)
        h, blocks = zeros_like(x), draw_blocks(inner, n_inner)
        sgd_along(inner, z, x, steps.inner, blocks)
        fz, fx = outer.grad(z, x, outer.draw())
        for _ in range(n_perturbations):
            u = inner.normal(x)
            assign(x_near, x)
            descend(x_near, -smoothing, u)
            assign(z_end, z_start)
            sgd_along(inner, z_end, x_near, steps.inner, blocks)
            descend(z_end, 1.0, z)
            descend(h, -dot(fz, z_end) / (smoothing * n_perturbations), u)
        outer.descend(x, steps.outer, h, fx)

    @staticmethod
    def oracle_calls(t, b, c, n, m, n_inner, n_perturbations):
        return Calls(
            outer_gradients=c, inner_gradients=(n_perturbations + 1) * n_inner * b
        )

    @staticmethod
    def estimate(t, n_inner):
        return Unrolled(n_inner, noisy=True)
