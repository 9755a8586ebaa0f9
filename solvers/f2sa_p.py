from benchmark_bilevel.methods import (
    Calls,
    Penalised,
    assign,
    descend,
    difference_weights,
    trajectory,
    zeros_like,
)
from benchmark_bilevel.parameters import Number
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """F2SA-p: the hypergradient by a difference of order p in the weight of f.

    With y_j the minimiser of g + (j / λ) f in z, j = −⌊p / 2⌋, …, ⌈p / 2⌉: T times
    y_j ← y_j − ρ (∇z g(y_j) + (j / λ) ∇z f(y_j)), all with the same samples; then, with
    one more of each, x ← P(x − γ (∇x f(y_0) + λ Σ_j c_j ∇x g(y_j))), the weights c_j
    differentiating polynomials of degree p. x rests where the error is O(λ^−p).

    Parameters
    ----------
    order : int
        p; 1 is F2SA but for its ∇x f(y_1).
    n_inner : int
        T.
    penalty : float
        λ; g + (j / λ) f has to be convex for negative j, too.

    References
    ----------
    L. Chen, J. Li, E. M. Chayti, J. Zhang, "Faster gradient methods for highly-smooth
    stochastic bilevel optimization", ICLR 2026. The constants are ours. (The authors'
    code normalises the step of x.)
    """

    name = "F2SA-p"
    parameters = {"order": [2], "n_inner": [10], "penalty": [10.0]}
    ranges = {"penalty": Number(above=0)}
    search_space = ["step_size", "outer_step", "n_inner", "penalty"]
    test_config = {"n_inner": 3, "penalty": 8.0, "order": 3}
    shares_samples = False
    needs_minimisation = True

    @staticmethod
    def init(inner, outer, z, x, order):
        rows = trajectory(z, order)
        for k in range(order + 1):
            assign(rows[k], z)
        return z, x, rows

    @staticmethod
    def step(inner, outer, state, steps, t, order, n_inner, penalty):
        z, x, rows = state
        first = -(order // 2)
        for _ in range(n_inner):
            i, j = inner.draw(), outer.draw()
            for k in range(order + 1):
                y = rows[k]
                gz = inner.grad(y, x, i)
                if first + k == 0:
                    descend(y, steps.inner, gz)
                else:
                    fz, _ = outer.grad(y, x, j)
                    descend(y, steps.inner, gz)
                    descend(y, steps.inner * (first + k) / penalty, fz)
        assign(z, rows[-first])
        i, d, weights = inner.draw(), zeros_like(x), difference_weights(order)
        _, fx = outer.grad(z, x, outer.draw())
        for k in range(order + 1):
            if weights[k] != 0.0:  # that of y_0 is for even p
                descend(d, -penalty * weights[k], inner.grad_x(rows[k], x, i))
        outer.descend(x, steps.outer, d, fx)

    @staticmethod
    def oracle_calls(t, b, c, n, m, order, n_inner):
        return Calls(
            outer_gradients=(order * n_inner + 1) * c,
            inner_gradients=(order + 1) * n_inner * b,
            inner_gradients_x=(order + order % 2) * b,
        )

    @staticmethod
    def estimate(t, order, penalty):
        weights = enumerate(difference_weights(order), -(order // 2))
        return Penalised(penalty, nodes=dict(weights), outer_node=0)
