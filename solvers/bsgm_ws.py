from benchmark_bilevel.methods import (
    Calls,
    Implicit,
    draw_batch,
    linear_sgd,
    mean_cross,
    mean_outer_grad,
    scale,
    sgd,
    zeros_like,
)
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """BSGM-WS: BSGM's steps with a warm start of z, and of v if asked for.

    (1) T steps of SGD on g from the last z; (2) ∇z f and ∇x f on J mini-batches; (3) K
    steps of SGD on ½ vᵀHv + vᵀ∇z f, from the last v or from 0; (4) J v on J mini-batches;
    all samples are independent. Then x ← P(x − α (∇x f + J v)). These are the rivals of
    BSGM as its experiments have them: AmIGO is warm_linear = True and J = K = T, stocBiO
    is False and J = K, its Neumann series being K steps from 0. (With J = 1, as in their
    own papers, a step of x in data poisoning moves the samples of one mini-batch only.)

    Parameters
    ----------
    n_inner, n_linear, n_means : int
        T, K and J.
    warm_linear : bool
        Whether v goes on where it was.

    References
    ----------
    R. Grazzi, M. Pontil, S. Salzo, "Bilevel optimization with a lower-level
    contraction: Optimal sample complexity without warm-start", JMLR 24, 2023, section
    7.3. (Its code draws all samples of g from one shuffled epoch; a v that is not kept
    starts at −∇z f.)
    """

    name = "BSGM-WS"
    parameters = {
        "n_inner": [10],
        "n_linear": [10],
        "n_means": [10],
        "warm_linear": [True],
        "sampling": ["with-replacement"],
    }
    search_space = ["step_size", "linear_step", "outer_step", "n_inner", "n_linear"]
    test_config = {"n_inner": 4, "n_linear": 3, "n_means": 2, "warm_linear": False}
    shares_samples = False

    @staticmethod
    def init(inner, outer, z, x):
        return z, x, zeros_like(z)

    @staticmethod
    def step(inner, outer, state, steps, t, n_inner, n_linear, n_means, warm_linear):
        z, x, v = state
        sgd(inner, z, x, steps.inner, n_inner)
        fz, fx = mean_outer_grad(outer, z, x, draw_batch(outer, n_means))
        if not warm_linear:
            scale(v, 0.0)
        linear_sgd(inner, z, x, v, fz, steps.linear, n_linear)
        jv = mean_cross(inner, z, x, v, draw_batch(inner, n_means))
        outer.descend(x, steps.outer, jv, fx)

    @staticmethod
    def oracle_calls(t, b, c, n, m, n_inner, n_linear, n_means):
        return Calls(
            outer_gradients=m if c == m else n_means * c,
            inner_gradients=n_inner * b,
            hessian_vector_products=n_linear * b,
            jacobian_vector_products=n if b == n else n_means * b,
        )

    @staticmethod
    def estimate(t, linear_step, n_inner, n_linear, warm_linear):
        return Implicit(n_inner, n_linear, linear_step, warm_v=warm_linear)
