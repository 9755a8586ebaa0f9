from benchmark_bilevel.methods import Calls, Implicit, descend, sgd, zeros_like
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """T1-T2: SGD on z, warm-started, and η for the inverse of ∇²zz g.

    z takes `n_inner` steps of SGD on g; v = −η ∇z f; x ← P(x − γ (∇x f + J v)) with
    fresh samples. The identity for ∇²zz g, as in DARTS: a Neumann series of one term.
    Steps decrease as (t + 1)^(−1/2).

    Parameters
    ----------
    n_inner : int
        T, number of steps on z.
    linear_step : float or None
        η; it does not decrease. None means step_size, as if one step on z were
        differentiated.

    References
    ----------
    J. Luketina, M. Berglund, K. Greff, T. Raiko, "Scalable gradient-based tuning of
    continuous regularization hyperparameters", ICML 2016.
    H. Liu, K. Simonyan, Y. Yang, "DARTS: Differentiable architecture search", ICLR
    2019. The constants are ours.
    """

    name = "T1-T2"
    parameters = {"n_inner": [1], "step_exponent": [0.5], "outer_exponent": [0.5]}
    search_space = ["step_size", "linear_step", "outer_step", "n_inner"]
    test_config = {"n_inner": 2}
    shares_samples = False

    @staticmethod
    def init(inner, outer, z, x):
        return z, x

    @staticmethod
    def step(inner, outer, state, steps, t, n_inner, linear_step):
        z, x = state
        sgd(inner, z, x, steps.inner, n_inner)
        fz, fx = outer.grad(z, x, outer.draw())
        v = zeros_like(z)
        descend(v, linear_step, fz)
        jv = inner.cross(z, x, v, inner.draw())
        outer.descend(x, steps.outer, jv, fx)

    @staticmethod
    def oracle_calls(t, b, c, n, m, n_inner):
        return Calls(
            outer_gradients=c,
            inner_gradients=n_inner * b,
            jacobian_vector_products=b,
        )

    @staticmethod
    def estimate(t, linear_step, n_inner):
        return Implicit(n_inner, 1, linear_step)
