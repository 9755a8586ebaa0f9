# A template to copy to a file of any other name, here or anywhere else; benchopt leaves
# out files that are called template_*. docs/add-a-solver.md lists what it may use. Try it:
#   python -m benchmark_bilevel check my_solver.py
#   benchopt run . -s /path/to/my_solver.py -s SOBA -d quadratic
from benchmark_bilevel.methods import Calls, Implicit, descend, zeros_like
from benchmark_bilevel.parameters import Number
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """SOBA with heavy-ball momentum on x: m ← β m + D_x, x ← P(x − γ m).

    Parameters
    ----------
    momentum : float
        β in [0, 1).

    References
    ----------
    The paper, its venue and year, the number of the algorithm.
    """

    name = "heavy-ball SOBA"
    parameters = {"momentum": [0.5]}
    # Optional: what they may be; anything else is refused before a run.
    ranges = {"momentum": Number(at_least=0, below=1)}
    # Optional: what `search` tunes, by name or with the edges of a logarithmic range.
    search_space = ["step_size", "linear_step", "outer_step", ("momentum", 0.1, 0.99)]

    # z and x are the initial point; return all that an iteration needs, z and x first.
    @staticmethod
    def init(inner, outer, z, x):
        return z, x, zeros_like(z), zeros_like(x)

    # Iteration t = 0, 1, …: everything in `state` changes in place.
    @staticmethod
    def step(inner, outer, state, steps, t, momentum):
        z, x, v, m = state
        gz, hv, jv = inner.grad_hvp_cross(z, x, v, inner.draw())
        fz, fx = outer.grad(z, x, outer.draw())
        descend(z, steps.inner, gz)
        descend(v, steps.linear, hv, fz)
        descend(m, 1.0 - momentum, m)
        descend(m, -1.0, jv, fx)
        outer.descend(x, steps.outer, m)

    # Optional: what the paper promises, for the checks to hold the code to.
    shares_samples = True  # one sample of g serves three derivatives

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
        return Implicit(
            step=linear_step, warm_v=True, simultaneous=True, use="averaged"
        )
