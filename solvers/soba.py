from benchmark_bilevel.methods import Calls, Implicit, descend, zeros_like
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """SOBA: z, v and x move at the same time along three plain stochastic directions.

    D_z = ∇z g_i(z, x), D_v = ∇²zz g_i(z, x) v + ∇z f_j(z, x) and
    D_x = ∇²xz g_i(z, x) v + ∇x f_j(z, x), with the same sample i of g in all three and
    the same sample j of f. Steps decrease as 1/√(t + 1).

    References
    ----------
    M. Dagréou, P. Ablin, S. Vaiter, T. Moreau, "A framework for bilevel optimization
    that enables stochastic and global variance reduction algorithms", NeurIPS 2022.
    """

    name = "SOBA"
    parameters = {"step_exponent": [0.5], "outer_exponent": [0.5]}
    search_space = ["step_size", "linear_step", "outer_step"]
    shares_samples = True

    @staticmethod
    def init(inner, outer, z, x):
        return z, x, zeros_like(z)

    @staticmethod
    def step(inner, outer, state, steps, t):
        z, x, v = state
        dz, hv, jv = inner.grad_hvp_cross(z, x, v, inner.draw())
        fz, fx = outer.grad(z, x, outer.draw())
        descend(z, steps.inner, dz)
        descend(v, steps.linear, hv, fz)
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
        return Implicit(step=linear_step, warm_v=True, simultaneous=True)
