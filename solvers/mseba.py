from benchmark_bilevel.methods import (
    Calls,
    Implicit,
    descend,
    draw_page,
    flip,
    page,
    remember,
    start_differences,
    system_directions,
    zero_sarah,
)
from benchmark_bilevel.parameters import Number
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """MSEBA: the directions of SOBA, that of z by ZeroSARAH, those of v and x by PAGE.

    D_z ← ∇z g_k − old_k + (1 − s) D_z + s (old_k − table[k] + mean of the table), the
    table holding the last value on each mini-batch (see SFFBA). With some probability,
    and at the start, D_v = H v + ∇z f and D_x = J v + ∇x f are those of all samples; else
    D ← D + D_ij − old D_ij (see SPABA), sample i of g being another one than k. "Old" is
    at the previous (z, v, x), all three move at the same time, and steps are constant.
    (The estimator of a variable is no
    parameter: what the state holds and what a step draws and counts depend on it, so
    that one text with SFFBA, SPABA and SRBA would branch at each of these.)

    Parameters
    ----------
    weight : float
        s in (0, 1], of the order of 1 / (number of mini-batches).
    probability : float
        p in (0, 1].

    References
    ----------
    T. Chu, D. Xu, W. Yao, C. Yu, J. Zhang, "A provably convergent plug-and-play
    framework for stochastic bilevel optimization", arXiv:2505.01258, 2025 (PnPBO). The
    constants are ours. (In the authors' code the limit of D_z is three times the
    gradient.)
    """

    name = "MSEBA"
    parameters = {"weight": [0.05], "probability": [0.1]}
    ranges = {
        "weight": Number(above=0, at_most=1),
        "probability": Number(above=0, at_most=1),
    }
    search_space = ["step_size", "linear_step", "outer_step", "weight", "probability"]
    test_config = {"weight": 0.1, "probability": 0.25}
    shares_samples = True
    variance_reduced = True
    needs_all_of_z = True

    @staticmethod
    def init(inner, outer, z, x):
        v, directions, old = start_differences(z, x)
        memory, _, _ = inner.memory(z, x)
        return z, x, v, directions, memory, old

    @staticmethod
    def step(inner, outer, state, steps, t, weight, probability):
        z, x, v, (d_z, d_v, d_x), memory, old_point = state
        z_old, v_old, x_old = old_point
        afresh = t == 0 or flip(inner, probability)
        k = inner.draw()
        gz, gz_old = inner.grad(z, x, k), inner.grad(z_old, x_old, k)
        zero_sarah(d_z, 1.0 if t == 0 else weight, gz, gz_old, memory, k)
        i, j = draw_page(inner, outer, afresh)
        new = system_directions(inner, outer, z, x, v, i, j)
        old = new
        if not afresh:
            old = system_directions(inner, outer, z_old, x_old, v_old, i, j)
        page(d_v, afresh, new[0], old[0])
        page(d_x, afresh, new[1], old[1])
        remember(old_point, (z, v, x))
        descend(z, steps.inner, d_z)
        descend(v, steps.linear, d_v)
        outer.descend(x, steps.outer, d_x)

    @staticmethod
    def oracle_calls(t, b, c, n, m, probability):
        p = 1.0 if t == 0 else probability
        products = p * n + (1 - p) * 2 * b
        return Calls(
            outer_gradients=p * m + (1 - p) * 2 * c,
            inner_gradients=2 * b,
            hessian_vector_products=products,
            jacobian_vector_products=products,
        )

    @staticmethod
    def estimate(t, linear_step):
        return Implicit(step=linear_step, warm_v=True, simultaneous=True)
