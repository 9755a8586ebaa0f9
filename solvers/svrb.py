from benchmark_bilevel.methods import (
    Calls,
    Implicit,
    assign,
    clip_spectrum,
    copy,
    descend,
    scale,
    solve_spd,
    storm,
    storm_momentum,
    zero_matrix,
    zeros_like,
)
from benchmark_bilevel.parameters import Number
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """SVRB (STABLE-VR): STORM with one weight on all that x and z move along.

    u ≈ ∇x f, w ≈ ∇z f, q ≈ ∇z g, Ĵ ≈ ∇²xz g and Ĥ ≈ ∇²zz g, projected to eigenvalues
    ≥ μ, each new + (1 − α_t) (estimate − old) with the same samples at the new and the
    old point; then x ← P(x − γ (u − Ĵ Ĥ⁻¹ w)) and z ← z − ρ q. Steps decrease as
    (t + 1)^(−1/3), α_t as the square of z's.

    Parameters
    ----------
    weight : float
        α_1.
    convexity : float
        μ: a lower bound of the eigenvalues of ∇²zz g, else x rests elsewhere.

    References
    ----------
    Z. Guo, Q. Hu, L. Zhang, T. Yang, "Randomized stochastic variance-reduced methods
    for multi-task stochastic bilevel optimization", arXiv:2105.02266, 2021. The
    constants are ours. (Public code adds ∇x f from a wrong place in its memory.)
    """

    name = "SVRB"
    parameters = {
        "weight": [0.9],
        "convexity": [1e-3],
        "step_exponent": [0.3333333333333333],
        "outer_exponent": [0.3333333333333333],
    }
    ranges = {"weight": Number(above=0, at_most=1), "convexity": Number(above=0)}
    search_space = ["step_size", "outer_step", "weight"]
    shares_samples = False
    unbiased = False  # the mean of Ĥ⁻¹ is not H⁻¹
    needs_matrices = True
    needs_all_of_z = True

    @staticmethod
    def init(inner, outer, z, x):
        gradients = zeros_like(x), zeros_like(z), zeros_like(z)
        return z, x, gradients, zero_matrix(z, z), zero_matrix(x, z), copy(z), copy(x)

    @staticmethod
    def step(inner, outer, state, steps, t, weight, convexity, step_exponent):
        z, x, (u, w, q), H, J, z_old, x_old = state
        new = 1.0 if t == 0 else storm_momentum(t, weight, step_exponent)
        k = outer.draw()
        fz_old, fx_old = outer.grad(z_old, x_old, k)
        fz, fx = outer.grad(z, x, k)
        storm(u, new, fx, fx_old)
        storm(w, new, fz, fz_old)
        k = inner.draw()
        storm(q, new, inner.grad(z, x, k), inner.grad(z_old, x_old, k))
        k = inner.draw()
        storm(H, new, inner.hessian(z, x, k), inner.hessian(z_old, x_old, k))
        clip_spectrum(H, convexity)
        k = inner.draw()
        J_old = inner.cross_matrix(z_old, x_old, k)
        storm(J, new, inner.cross_matrix(z, x, k), J_old)
        assign(z_old, z)
        assign(x_old, x)
        v = scale(solve_spd(H, w), -1.0)
        outer.descend(x, steps.outer, J @ v, u)
        descend(z, steps.inner, q)

    @staticmethod
    def oracle_calls(t, b, c, n, m, dim_z):
        return Calls(
            outer_gradients=2 * c,
            inner_gradients=2 * b,
            hessian_vector_products=2 * dim_z * b,
            jacobian_vector_products=2 * dim_z * b,
        )

    @staticmethod
    def estimate(t):
        return Implicit(0, None, simultaneous=True)
