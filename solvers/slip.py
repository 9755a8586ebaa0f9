from benchmark_bilevel.methods import (
    Calls,
    Implicit,
    average,
    descend,
    norm,
    sgd,
    zeros_like,
)
from benchmark_bilevel.parameters import Integer, Number
from benchmark_bilevel.solver import BilevelSolver

SMALLEST_NORM = 1e-18  # below it the squares of a norm underflow in float32


class Solver(BilevelSolver):
    """SLIP: SOBA with a warm-up of z and normalised momentum on x.

    Before all, z takes some steps of SGD on g. Then, with one sample of g and one of f:
    z ← z − ρ ∇z g, v ← v − η (H v + ∇z f) and, with D = ∇x f + J v at the point before,
    m ← β m + (1 − β) D and x ← P(x − γ m / ‖m‖). Steps decrease as (t + 1)^(−1/2); were
    they constant, x would end in a ball of radius O(γ) around the minimum.

    Parameters
    ----------
    n_warmup : int
        Steps on z in the first iteration, before all else.
    memory : float
        β in [0, 1).

    References
    ----------
    X. Gong, J. Hao, M. Liu, "A nearly optimal single loop algorithm for stochastic
    bilevel optimization under unbounded smoothness", ICML 2024. The constants are ours;
    m starts at 0. (In public code v starts at random, and f is that of the samples
    of g.)
    """

    name = "SLIP"
    parameters = {
        "n_warmup": [10],
        "memory": [0.9],
        "step_exponent": [0.5],
        "outer_exponent": [0.5],
    }
    ranges = {
        "n_warmup": Integer(at_least=0),
        "memory": Number(at_least=0, below=1),
    }
    # The step of x is a length.
    search_space = ["step_size", "linear_step", ("outer_step", 1e-4, 10.0)]
    test_config = {"n_warmup": 3, "memory": 0.5}
    shares_samples = True
    needs_all_of_z = True

    @staticmethod
    def init(inner, outer, z, x):
        return z, x, zeros_like(z), zeros_like(x)

    @staticmethod
    def step(inner, outer, state, steps, t, n_warmup, memory):
        z, x, v, m = state
        if t == 0:
            sgd(inner, z, x, steps.inner, n_warmup)
        gz, hv, jv = inner.grad_hvp_cross(z, x, v, inner.draw())
        fz, fx = outer.grad(z, x, outer.draw())
        average(m, 1.0 - memory, jv, fx)
        descend(z, steps.inner, gz)
        descend(v, steps.linear, hv, fz)
        outer.descend(x, steps.outer / (norm(m) + SMALLEST_NORM), m)

    @staticmethod
    def oracle_calls(t, b, c, n, m, n_warmup):
        return Calls(
            outer_gradients=c,
            inner_gradients=(1 + n_warmup if t == 0 else 1) * b,
            hessian_vector_products=b,
            jacobian_vector_products=b,
        )

    @staticmethod
    def estimate(t, linear_step, n_warmup):
        return Implicit(
            n_warmup if t == 0 else 0,
            step=linear_step,
            warm_v=True,
            simultaneous=True,
            use="normalised",
        )
