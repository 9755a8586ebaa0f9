import math

from benchmark_bilevel.methods import (
    Calls,
    Implicit,
    as_variable,
    assign,
    descend,
    draw_subset,
    scale,
    sgd,
    solve_spd,
    zero_matrix,
    zeros_like,
)
from benchmark_bilevel.parameters import Number
from benchmark_bilevel.solver import BilevelSolver

# Share of its diagonal entry that is left of a column which the others make up.
DEPENDENT = 1e-6


class Solver(BilevelSolver):
    """Nyström: SGD on z, warm-started, and ∇²zz g inverted from a few of its columns.

    z takes `n_inner` steps of SGD on g. Of k columns of H = ∇²zz g, drawn uniformly
    without replacement and computed as products with unit vectors on one fresh sample,
    comes H_k = Bᵀ B of rank k, equal to H in these columns, by a partial Cholesky
    factorisation. By Woodbury v = −(ε I + H_k)⁻¹ ∇z f = −(∇z f − Bᵀ (ε I + B Bᵀ)⁻¹ B ∇z f)
    / ε; then x ← P(x − γ (∇x f + J v)). Steps decrease as (t + 1)^(−1/2).

    Parameters
    ----------
    n_inner : int
        T, number of steps on z.
    rank : int
        k; the whole of H if z has not as many numbers.
    ridge : float
        ε, what a step along none of the columns is divided by.

    References
    ----------
    R. Hataya, M. Yamada, "Nyström method for accurate and scalable implicit
    differentiation", AISTATS 2023. The constants are ours.
    """

    name = "Nyström"
    parameters = {
        "n_inner": [10],
        "rank": [10],
        "ridge": [1.0],
        "step_exponent": [0.5],
        "outer_exponent": [0.5],
    }
    ranges = {"ridge": Number(above=0)}
    search_space = [
        "step_size",
        "outer_step",
        "n_inner",
        ("rank", 1, 30),
        ("ridge", 1e-3, 10.0),
    ]
    test_config = {"n_inner": 2, "rank": 100, "ridge": 0.5}  # of full rank
    shares_samples = False
    unbiased = False  # the mean of H⁻¹ is not that of the mean
    needs_minimisation = True

    @staticmethod
    def init(inner, outer, z, x):
        return z, x

    @staticmethod
    def step(inner, outer, state, steps, t, n_inner, rank, ridge):
        z, x = state
        sgd(inner, z, x, steps.inner, n_inner)
        fz, fx = outer.grad(z, x, outer.draw())
        v, i, B = as_variable(fz, z), inner.draw(), zero_matrix(z[:rank], z)
        columns = draw_subset(inner, len(z), len(B))
        for k in range(len(B)):
            column, unit = columns[k], zeros_like(z)
            unit[column] = 1.0
            assign(B[k], inner.hvp(z, x, unit, i))
            floor = DEPENDENT * B[k, column]
            for j in range(k):
                descend(B[k], B[j, column], B[j])
            pivot = B[k, column]
            scale(B[k], 1.0 / math.sqrt(pivot) if pivot > floor else 0.0)
        S = B @ B.T
        for k in range(len(B)):
            S[k, k] += ridge
        descend(v, 1.0, B.T @ solve_spd(S, B @ v))
        scale(v, -1.0 / ridge)
        jv = inner.cross(z, x, v, inner.draw())
        outer.descend(x, steps.outer, jv, fx)

    @staticmethod
    def oracle_calls(t, b, c, n, m, n_inner, rank, dim_z):
        return Calls(
            outer_gradients=c,
            inner_gradients=n_inner * b,
            hessian_vector_products=min(rank, dim_z) * b,
            jacobian_vector_products=b,
        )

    @staticmethod
    def estimate(t, n_inner, ridge):
        return Implicit(n_inner, None, ridge=ridge)
