from benchmark_bilevel.methods import Calls, Implicit, descend, zeros_like
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """ALSET†: one step on z, one on v, both warm-started, then one on x.

    As SOBA, but one after the other: z ← z − ρ ∇z g; v ← v − η (H v + ∇z f) at the new
    z; x ← P(x − γ (∇x f + J v)) at the new z and v. H and J have fresh samples. Steps
    decrease as (t + 1)^(−1/2), as ALSET's; in the experiments they were constant. With
    both batches full, constant steps and linear_step = step_size it is ALSET†-DET.

    References
    ----------
    R. Grazzi, M. Pontil, S. Salzo, "Bilevel optimization with a lower-level
    contraction: Optimal sample complexity without warm-start", JMLR 24, 2023, section
    7.3, after T. Chen, Y. Sun, W. Yin, "Closing the gap: Tighter analysis of
    alternating stochastic gradient methods for bilevel problems", NeurIPS 2021.
    """

    name = "ALSET-dagger"
    parameters = {"step_exponent": [0.5], "outer_exponent": [0.5]}
    search_space = ["step_size", "linear_step", "outer_step"]
    shares_samples = False

    @staticmethod
    def init(inner, outer, z, x):
        return z, x, zeros_like(z)

    @staticmethod
    def step(inner, outer, state, steps, t):
        z, x, v = state
        descend(z, steps.inner, inner.grad(z, x, inner.draw()))
        fz, fx = outer.grad(z, x, outer.draw())
        descend(v, steps.linear, inner.hvp(z, x, v, inner.draw()), fz)
        jv = inner.cross(z, x, v, inner.draw())
        outer.descend(x, steps.outer, jv, fx)

    @staticmethod
    def oracle_calls(t, b, c, n, m):
        return Calls(
            outer_gradients=c,
            inner_gradients=b,
            hessian_vector_products=b,
            jacobian_vector_products=b,
        )

    @staticmethod
    def estimate(t, linear_step):
        return Implicit(1, 1, linear_step, warm_v=True)
