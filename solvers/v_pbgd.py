from benchmark_bilevel.methods import Calls, Penalised, copy, descend, sgd, zeros_like
from benchmark_bilevel.parameters import Number
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """V-PBGD: gradient descent on f + γ (g(z, x) − min g(·, x)), a value penalty.

    ẑ is z after T steps of gradient descent ρ on g(·, x). With γ_t = γ min(1, (t + 1) /
    ramp), z ← z − ρ / γ (∇z f(z) + γ_t ∇z g(z)) and, at the same time,
    x ← P(x − α (∇x f(z) + γ_t (∇x g(z) − ∇x g(ẑ)))). The paper has one step for both,
    α = ρ / γ: outer_ratio = γ. Batches are full. For a fixed T, x rests at O(1 / γ) from
    where a Neumann series of T terms would have it rest.

    Parameters
    ----------
    n_inner : int
        T.
    penalty : float
        γ.
    ramp : int
        Iterations until γ_t is γ; 1 has it constant.

    References
    ----------
    H. Shen, T. Chen, "On penalty-based bilevel gradient descent method", ICML 2023. The
    constants are ours.
    """

    name = "V-PBGD"
    parameters = {
        "n_inner": [10],
        "penalty": [10.0],
        "ramp": [1],
        "outer_ratio": [10.0],
        "batch_size": ["full"],
        "outer_batch_size": ["full"],
    }
    ranges = {"penalty": Number(above=0)}
    search_space = ["step_size", "outer_step", "n_inner", "penalty"]
    test_config = {"n_inner": 4, "penalty": 5.0, "ramp": 5}
    needs_minimisation = True

    @staticmethod
    def init(inner, outer, z, x):
        return z, x

    @staticmethod
    def step(inner, outer, state, steps, t, n_inner, penalty, ramp):
        z, x = state
        z_end, d = copy(z), zeros_like(x)
        share = min(1.0, (t + 1.0) / ramp)
        multiplier = penalty * share
        sgd(inner, z_end, x, steps.inner, n_inner)
        i = inner.draw()
        gz, gx = inner.grads(z, x, i)
        fz, fx = outer.grad(z, x, outer.draw())
        descend(d, -multiplier, gx)
        descend(d, multiplier, inner.grad_x(z_end, x, i))
        descend(z, steps.inner * share, gz)
        descend(z, steps.inner / penalty, fz)
        outer.descend(x, steps.outer, d, fx)

    @staticmethod
    def oracle_calls(t, b, c, n, m, n_inner):
        return Calls(
            outer_gradients=c,
            inner_gradients=(n_inner + 1) * b,
            inner_gradients_x=2 * b,
        )

    @staticmethod
    def estimate(t, penalty, n_inner):
        return Penalised(penalty, reference_steps=n_inner)
