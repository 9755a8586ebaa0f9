from benchmark_bilevel.methods import (
    Calls,
    Implicit,
    add,
    clip_spectrum,
    descend,
    saga,
    scale,
    solve_spd,
)
from benchmark_bilevel.parameters import Number
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """RSVRB: x moves along the mean over all tasks, of which some are looked at again.

    With w_k = ∇z f_k and H_k = ∇²zz g_k, projected to eigenvalues ≥ μ, the tasks k drawn
    have D_k = ∇x f_k − ∇²xz g_k H_k⁻¹ w_k computed again; those of all others are what
    they were at the last visit, 0 before the first. Then z_k ← z_k − ρ ∇z g_k for the
    tasks drawn and x ← P(x − γ mean of all D_k). The means of D_k over the blocks of
    tasks are kept. Steps decrease as (t + 1)^(−1/3).

    Parameters
    ----------
    convexity : float
        μ: a lower bound of the eigenvalues of ∇²zz g_k, else x rests elsewhere.

    References
    ----------
    Z. Guo, Q. Hu, L. Zhang, T. Yang, "Randomized stochastic variance-reduced methods
    for multi-task stochastic bilevel optimization", arXiv:2105.02266, 2021. The
    constants are ours. (There the data of a task are sampled, too, and each quantity of
    a task has an estimate by STORM, which is the quantity itself where all its data are
    taken.)
    """

    name = "RSVRB"
    parameters = {
        "convexity": [1e-3],
        "batch_size": [16],
        "step_exponent": [0.3333333333333333],
        "outer_exponent": [0.3333333333333333],
    }
    ranges = {"convexity": Number(above=0)}
    search_space = ["step_size", "outer_step"]
    test_config = {
        "dataset": {"name": "multi_task_ridge"},
        "objective": {"problem": "multi-task-ridge"},
    }
    shares_samples = True
    unbiased = False  # where there are no tasks, D_k is that of a mini-batch
    needs_matrices = True
    needs_minimisation = True

    def skip(self, problem):
        if not problem.made_of_tasks:
            return True, f"{self.name} is for problems made of tasks"
        return super().skip(problem)

    @staticmethod
    def init(inner, outer, z, x):
        return z, x, inner.memory(z, x)

    @staticmethod
    def step(inner, outer, state, steps, t, convexity):
        z, x, (_, _, memory) = state
        i = inner.draw()
        gz, H = inner.grad(z, x, i), inner.hessian(z, x, i)
        clip_spectrum(H, convexity)
        fz, fx = outer.grad(z, x, outer.draw())
        v = scale(solve_spd(H, fz), -1.0)
        saga(add(inner.cross(z, x, v, i), fx), memory, i)
        _, mean = memory
        outer.descend(x, steps.outer, mean)
        descend(z, steps.inner, gz)

    @staticmethod
    def oracle_calls(t, b, c, n, m, dim_z):
        return Calls(
            outer_gradients=c,
            inner_gradients=b,
            hessian_vector_products=dim_z * b,
            jacobian_vector_products=b,
        )

    @staticmethod
    def estimate(t):
        return Implicit(0, None, simultaneous=True)
