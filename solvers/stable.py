from benchmark_bilevel.methods import (
    Calls,
    Implicit,
    assign,
    clip_spectrum,
    copy,
    descend,
    project_spectral_ball,
    scale,
    solve_spd,
    storm,
    zero_matrix,
)
from benchmark_bilevel.parameters import Number
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """STABLE: STORM on the matrices ∇²zz g and ∇²xz g; z follows z*(x) as x moves.

    Ĥ ← Π[(1 − τ)(Ĥ − H_old) + H], Π to eigenvalues ≥ μ, and Ĵ ← Π[(1 − τ)(Ĵ − J_old) + J],
    Π to singular values ≤ C, old ones being from the same samples at the point before;
    x_new = P(x − γ (∇x f − Ĵ Ĥ⁻¹ ∇z f)); z ← z − ρ ∇z g − Ĥ⁻¹ Ĵᵀ (x_new − x). The first
    Ĥ and Ĵ are those of the first samples. Steps are constant.

    Parameters
    ----------
    weight : float
        τ in (0, 1].
    convexity : float
        μ: a lower bound of the eigenvalues of ∇²zz g, else x rests elsewhere.
    cross_bound : float
        C: an upper bound of the singular values of ∇²xz g.

    References
    ----------
    T. Chen, Y. Sun, Q. Xiao, W. Yin, "A single-timescale method for stochastic bilevel
    optimization", AISTATS 2022, arXiv:2102.04671. The constants are ours. (Public code
    by others lacks z's last term and both projections.)
    """

    name = "STABLE"
    parameters = {"weight": [0.1], "convexity": [1e-3], "cross_bound": [1e3]}
    ranges = {
        "weight": Number(above=0, at_most=1),
        "convexity": Number(above=0),
        "cross_bound": Number(above=0),
    }
    search_space = ["step_size", "outer_step", "weight"]
    shares_samples = False
    unbiased = False  # the mean of Ĥ⁻¹ is not H⁻¹
    needs_matrices = True
    needs_all_of_z = True

    @staticmethod
    def init(inner, outer, z, x):
        return z, x, zero_matrix(z, z), zero_matrix(x, z), copy(z), copy(x)

    @staticmethod
    def step(inner, outer, state, steps, t, weight, convexity, cross_bound):
        z, x, H, J, z_old, x_old = state
        new = 1.0 if t == 0 else weight
        i, j = inner.draw(), inner.draw()
        storm(H, new, inner.hessian(z, x, i), inner.hessian(z_old, x_old, i))
        J_old = inner.cross_matrix(z_old, x_old, j)
        storm(J, new, inner.cross_matrix(z, x, j), J_old)
        clip_spectrum(H, convexity)
        project_spectral_ball(J, cross_bound)
        assign(z_old, z)
        assign(x_old, x)

        gz = inner.grad(z, x, inner.draw())
        fz, fx = outer.grad(z, x, outer.draw())
        v = scale(solve_spd(H, fz), -1.0)
        outer.descend(x, steps.outer, J @ v, fx)
        change = copy(x)
        descend(change, 1.0, x_old)
        descend(z, steps.inner, gz)
        descend(z, 1.0, solve_spd(H, J.T @ change))

    @staticmethod
    def oracle_calls(t, b, c, n, m, dim_z):
        return Calls(
            outer_gradients=c,
            inner_gradients=b,
            hessian_vector_products=2 * dim_z * b,
            jacobian_vector_products=2 * dim_z * b,
        )

    @staticmethod
    def estimate(t):
        return Implicit(0, None, simultaneous=True, tracks_x=True)
