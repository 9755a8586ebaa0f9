import math

from benchmark_bilevel.methods import (
    Calls,
    Implicit,
    assign,
    copy,
    draw_batch,
    linear_sgd,
    mean_cross,
    mean_outer_grad,
    sgd,
    zeros_like,
)
from benchmark_bilevel.parameters import Number
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """BSGM: projected steps on x along SID estimates, without any warm start.

    SID, at iteration s: (1) T_s steps of SGD on g from z0; (2) ∇z f and ∇x f on J_s
    mini-batches; (3) K_s = T_s steps of SGD on ½ vᵀHv + vᵀ∇z f from v = 0; (4) J v on
    J_s mini-batches. The four groups of samples are mutually independent, hence drawn
    with replacement. Then x ← P(x − α (∇x f + J v)).

    Parameters
    ----------
    n_steps : int
        T = K for a fixed horizon of S iterations (T = ⌈c₃ S⌉ in the analysis).
    growth : float
        c₃ of the growing schedule: T_s = max(n_steps, ⌈growth (s + 1)⌉). 0 is constant.
    mean_ratio : float
        J_s = ⌈mean_ratio T_s⌉ mini-batches; the paper has J = T.
    decrease : float
        Step i = 0, 1, … of (1) and (3) is divided by 1 + decrease i: the paper's
        β / (γ + i) for decrease = 1 / γ. 0 is constant, as in its experiments.

    References
    ----------
    R. Grazzi, M. Pontil, S. Salzo, "Bilevel optimization with a lower-level
    contraction: Optimal sample complexity without warm-start", JMLR 24, 2023,
    Algorithms 1 and 2, schedules of Theorem 16. (Its code draws all samples of g from
    one shuffled epoch, and v starts at −∇z f.)
    """

    name = "BSGM"
    parameters = {
        "n_steps": [10],
        "growth": [0.0],
        "mean_ratio": [1.0],
        "decrease": [0.0],
        "sampling": ["with-replacement"],
    }
    ranges = {
        "growth": Number(at_least=0),
        "mean_ratio": Number(above=0),
        "decrease": Number(at_least=0),
    }
    search_space = ["step_size", "linear_step", "outer_step", "n_steps"]
    test_config = {"n_steps": 4}
    shares_samples = False

    @staticmethod
    def init(inner, outer, z, x):
        return z, x, copy(z)

    @staticmethod
    def step(inner, outer, state, steps, t, n_steps, growth, mean_ratio, decrease):
        z, x, z0 = state
        n_steps = max(n_steps, math.ceil(growth * (t + 1) - 1e-9))
        n_means = math.ceil(mean_ratio * n_steps - 1e-9)
        assign(z, z0)
        sgd(inner, z, x, steps.inner, n_steps, decrease)
        fz, fx = mean_outer_grad(outer, z, x, draw_batch(outer, n_means))
        v = zeros_like(z)
        linear_sgd(inner, z, x, v, fz, steps.linear, n_steps, decrease)
        jv = mean_cross(inner, z, x, v, draw_batch(inner, n_means))
        outer.descend(x, steps.outer, jv, fx)

    @staticmethod
    def oracle_calls(t, b, c, n, m, n_steps, growth, mean_ratio):
        n_steps = max(n_steps, math.ceil(growth * (t + 1) - 1e-9))
        n_means = math.ceil(mean_ratio * n_steps - 1e-9)
        return Calls(
            outer_gradients=m if c == m else n_means * c,
            inner_gradients=n_steps * b,
            hessian_vector_products=n_steps * b,
            jacobian_vector_products=n if b == n else n_means * b,
        )

    @staticmethod
    def estimate(t, linear_step, n_steps, growth, decrease):
        n_steps = max(n_steps, math.ceil(growth * (t + 1) - 1e-9))
        return Implicit(n_steps, n_steps, linear_step, warm_z=False, decrease=decrease)
