from benchmark_bilevel.methods import (
    Calls,
    Implicit,
    descend,
    remember,
    start_differences,
    zero_sarah,
    zeros_like,
)
from benchmark_bilevel.parameters import Number
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """SFFBA: the three directions of SOBA by ZeroSARAH; never a pass over the data.

    Each of ∇z g_i, H_i v, J_i v, ∇z f_j and ∇x f_j keeps a table of its last value on
    each mini-batch and an estimate d ← new − old + (1 − s) d + s (old − table[i] + mean
    of the table), new and old being from the samples i, j at this and at the previous
    (z, v, x); the first d is the first value. Then z ← z − ρ D_z, v ← v − η D_v and
    x ← P(x − γ D_x), at the same time. Steps are constant.

    Parameters
    ----------
    weight : float
        s in (0, 1], of the order of 1 / (number of mini-batches).

    References
    ----------
    T. Chu, D. Xu, W. Yao, C. Yu, J. Zhang, "A provably convergent plug-and-play
    framework for stochastic bilevel optimization", arXiv:2505.01258, 2025 (PnPBO). The
    constants are ours. (In the authors' code the limit of d is three times the
    gradient.)
    """

    name = "SFFBA"
    parameters = {"weight": [0.05]}
    ranges = {"weight": Number(above=0, at_most=1)}
    search_space = ["step_size", "linear_step", "outer_step", "weight"]
    test_config = {"weight": 0.1}
    shares_samples = True
    variance_reduced = True
    needs_all_of_z = True

    @staticmethod
    def init(inner, outer, z, x):
        v, from_g, old = start_differences(z, x)
        from_f = zeros_like(z), zeros_like(x)
        return z, x, v, from_g, from_f, inner.memory(z, x), outer.memory(z, x), old

    @staticmethod
    def step(inner, outer, state, steps, t, weight):
        z, x, v, (d_z, d_hv, d_jv), (d_fz, d_fx), of_g, of_f, old = state
        (z_memory, v_memory, x_memory), (fz_memory, fx_memory) = of_g, of_f
        z_old, v_old, x_old = old
        i, j = inner.draw(), outer.draw()
        s = 1.0 if t == 0 else weight
        gz, hv, jv = inner.grad_hvp_cross(z, x, v, i)
        gz_old, hv_old, jv_old = inner.grad_hvp_cross(z_old, x_old, v_old, i)
        zero_sarah(d_z, s, gz, gz_old, z_memory, i)
        zero_sarah(d_hv, s, hv, hv_old, v_memory, i)
        zero_sarah(d_jv, s, jv, jv_old, x_memory, i)
        fz, fx = outer.grad(z, x, j)
        fz_old, fx_old = outer.grad(z_old, x_old, j)
        zero_sarah(d_fz, s, fz, fz_old, fz_memory, j)
        zero_sarah(d_fx, s, fx, fx_old, fx_memory, j)
        remember(old, (z, v, x))
        descend(z, steps.inner, d_z)
        descend(v, steps.linear, d_hv, d_fz)
        outer.descend(x, steps.outer, d_jv, d_fx)

    @staticmethod
    def oracle_calls(t, b, c, n, m):
        return Calls(
            outer_gradients=2 * c,
            inner_gradients=2 * b,
            hessian_vector_products=2 * b,
            jacobian_vector_products=2 * b,
        )

    @staticmethod
    def estimate(t, linear_step):
        return Implicit(step=linear_step, warm_v=True, simultaneous=True)
