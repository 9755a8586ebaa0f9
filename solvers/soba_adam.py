from benchmark_bilevel.methods import (
    Calls,
    Implicit,
    average,
    copy,
    descend,
    scale,
    square_average,
    zeros_like,
)
from benchmark_bilevel.parameters import Number
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """SOBA with Adam steps of x: what practitioners try first.

    With one sample of g and one of f: z ← z − ρ ∇z g and v ← v − η (H v + ∇z f), as in
    SOBA; with D = ∇x f + J v at the point before, m ← β₁ m + (1 − β₁) D,
    a ← β₂ a + (1 − β₂) D² and x ← P(x − γ m̂ / (√â + ε)), entry by entry, P in the metric
    of the step, m̂ = m / (1 − β₁^(t+1)) and â = a / (1 − β₂^(t+1)). Steps
    decrease as (t + 1)^(−1/2).

    Parameters
    ----------
    memory, square_memory : float
        β₁ and β₂ in [0, 1).
    floor : float
        ε.

    References
    ----------
    M. Dagréou, P. Ablin, S. Vaiter, T. Moreau, "A framework for bilevel optimization
    that enables stochastic and global variance reduction algorithms", NeurIPS 2022;
    D. P. Kingma, J. Ba, "Adam: A method for stochastic optimization", ICLR 2015.
    """

    name = "SOBA-Adam"
    parameters = {
        "memory": [0.9],
        "square_memory": [0.999],
        "floor": [1e-8],
        "step_exponent": [0.5],
        "outer_exponent": [0.5],
    }
    ranges = {
        "memory": Number(at_least=0, below=1),
        "square_memory": Number(at_least=0, below=1),
        "floor": Number(above=0),
    }
    search_space = ["step_size", "linear_step", "outer_step"]
    test_config = {"square_memory": 0.9, "floor": 0.1}
    shares_samples = True
    scales_steps = True

    @staticmethod
    def init(inner, outer, z, x):
        return z, x, zeros_like(z), zeros_like(x), zeros_like(x)

    @staticmethod
    def step(inner, outer, state, steps, t, memory, square_memory, floor):
        z, x, v, m, a = state
        gz, hv, jv = inner.grad_hvp_cross(z, x, v, inner.draw())
        fz, fx = outer.grad(z, x, outer.draw())
        d = zeros_like(x)
        descend(d, -1.0, jv, fx)
        average(m, 1.0 - memory, d)
        square_average(a, square_memory, d)
        corrected = scale(copy(a), 1.0 / (1.0 - square_memory ** (t + 1)))
        size = steps.outer / (1.0 - memory ** (t + 1))
        descend(z, steps.inner, gz)
        descend(v, steps.linear, hv, fz)
        outer.scaled_descend(x, size, m, corrected, floor)

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
        return Implicit(step=linear_step, warm_v=True, simultaneous=True, use="scaled")
