from benchmark_bilevel.methods import Calls, Implicit, descend, saga, zeros_like
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """SABA: the three directions of SOBA, each of their five terms through SAGA.

    Each of ∇z g_i, ∇²zz g_i v, ∇²xz g_i v, ∇z f_j and ∇x f_j keeps a table of its last
    value on each mini-batch. Steps are constant.

    Parameters
    ----------
    full_memory : bool
        Start from tables filled by one pass over the data, which is timed and counted
        (the analysis assumes it), or from zeros, as public code does. Where the problem
        is made of tasks, only ∇²xz g v and ∇x f have tables, a row for each block.

    References
    ----------
    M. Dagréou, P. Ablin, S. Vaiter, T. Moreau, "A framework for bilevel optimization
    that enables stochastic and global variance reduction algorithms", NeurIPS 2022.
    """

    name = "SABA"
    parameters = {"full_memory": [True]}
    search_space = ["step_size", "linear_step", "outer_step"]
    shares_samples = True
    variance_reduced = True

    def skip(self, problem):
        if problem.made_of_tasks and self.full_memory:
            return True, (
                f"{problem.name} is made of tasks, and a pass over the data would need "
                "all their rows of z at once: full_memory=False"
            )
        return super().skip(problem)

    @staticmethod
    def init(inner, outer, z, x):
        return z, x, zeros_like(z), inner.memory(z, x), outer.memory(z, x)

    @staticmethod
    def step(inner, outer, state, steps, t, full_memory):
        z, x, v, (z_memory, v_memory, x_memory), (fz_memory, fx_memory) = state
        if t == 0 and full_memory:
            for i in range(inner.n_blocks):
                dz, hv, jv = inner.grad_hvp_cross(z, x, v, i)
                saga(dz, z_memory, i)
                saga(hv, v_memory, i)
                saga(jv, x_memory, i)
            for j in range(outer.n_blocks):
                fz, fx = outer.grad(z, x, j)
                saga(fz, fz_memory, j)
                saga(fx, fx_memory, j)

        i, j = inner.draw(), outer.draw()
        dz, hv, jv = inner.grad_hvp_cross(z, x, v, i)
        fz, fx = outer.grad(z, x, j)
        dz, hv, jv = saga(dz, z_memory, i), saga(hv, v_memory, i), saga(jv, x_memory, i)
        fz, fx = saga(fz, fz_memory, j), saga(fx, fx_memory, j)
        descend(z, steps.inner, dz)
        descend(v, steps.linear, hv, fz)
        outer.descend(x, steps.outer, jv, fx)

    @staticmethod
    def oracle_calls(t, b, c, n, m, full_memory):
        if t == 0 and full_memory:
            b, c = n + b, m + c
        return Calls(
            outer_gradients=c,
            inner_gradients=b,
            hessian_vector_products=b,
            jacobian_vector_products=b,
        )

    @staticmethod
    def estimate(t, linear_step):
        return Implicit(step=linear_step, warm_v=True, simultaneous=True)
