import math

from benchmark_bilevel.methods import Calls, Implicit, draw_series, neumann, sgd
from benchmark_bilevel.parameters import Number
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """stocBiO: warm-started SGD on z, a Neumann series for the linear system.

    z takes `n_inner` steps of SGD on g. With v_0 = ∇z f on a fresh batch of f and fresh
    batches B_1, …, B_Q of g, v = −η Σ_{q=0}^{Q} Π_{j≤q} (I − η H_{B_j}) v_0; then
    x ← P(x − β (∇x f + J v)) with a fresh batch for J and the batch of v_0 for ∇x f.

    Parameters
    ----------
    n_inner : int
        D, number of steps on z.
    n_neumann : int
        Q, number of Hessian-vector products.
    linear_step : float or None
        η, not above 1 / L; it does not decrease. None means step_size.
    hessian_blocks : int
        Mini-batches in B_1, the batch that enters most products: B Q of the analysis.
    convexity : float
        μ, the strong convexity that the sizes of the batches assume: B_j is
        ⌈hessian_blocks (1 − ημ)^(j−1)⌉ mini-batches. 0 makes all equal, as in the
        paper's experiments.

    References
    ----------
    K. Ji, J. Yang, Y. Liang, "Bilevel optimization: Convergence analysis and enhanced
    design", ICML 2021. The constants are ours. (The authors' code lacks the first term of
    the series, the factor η on all but the last and ∇x f; it takes one batch, of the
    validation data, for H in all products and for J.)
    """

    name = "stocBiO"
    parameters = {
        "n_inner": [10],
        "n_neumann": [10],
        "linear_step": [0.5],
        "hessian_blocks": [1],
        "convexity": [0.0],
    }
    ranges = {"convexity": Number(at_least=0)}
    search_space = ["step_size", "linear_step", "outer_step", "n_inner", "n_neumann"]
    test_config = {
        "n_inner": 4,
        "n_neumann": 3,
        "hessian_blocks": 3,
        "convexity": 0.5,
    }
    shares_samples = False

    def invalid(self):
        if self.option("linear_step") * self.convexity >= 1:
            return "linear_step · convexity has to be below 1"
        return super().invalid()

    @staticmethod
    def init(inner, outer, z, x):
        return z, x

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
        hessian_blocks,
        convexity,
    ):
        z, x = state
        sgd(inner, z, x, steps.inner, n_inner)
        fz, fx = outer.grad(z, x, outer.draw())
        series = draw_series(inner, n_neumann, hessian_blocks, linear_step * convexity)
        v = neumann(inner, z, x, fz, linear_step, series)
        jv = inner.cross(z, x, v, inner.draw())
        outer.descend(x, steps.outer, jv, fx)

    @staticmethod
    def oracle_calls(
        t, b, c, n, m, n_inner, n_neumann, linear_step, hessian_blocks, convexity
    ):
        sizes = (
            hessian_blocks * (1 - linear_step * convexity) ** j
            for j in range(n_neumann)
        )
        hvp = sum(min(math.ceil(size - 1e-9) * b, n) for size in sizes)
        return Calls(
            outer_gradients=c,
            inner_gradients=n_inner * b,
            hessian_vector_products=hvp,
            jacobian_vector_products=b,
        )

    @staticmethod
    def estimate(t, linear_step, n_inner, n_neumann):
        return Implicit(n_inner, n_neumann + 1, linear_step)
