from benchmark_bilevel.methods import (
    Calls,
    Penalised,
    assign,
    copy,
    decay,
    descend,
    storm,
    storm_momentum,
    zeros_like,
)
from benchmark_bilevel.parameters import Number
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """F3SA: F2SA with STORM on each of its gradients.

    With y, z and x as in F2SA and one step of each an iteration: the estimates of
    ∇z f(y), ∇z g(y), ∇z g(z), ∇x f(y) and ∇x g(y) − ∇x g(z) become d ← new + (1 − β_t)
    (d − old), new and old from the same fresh samples at this and at the previous point.
    Then y ← y − α_t (d_f + λ_t d_g), z ← z − ρ_t d, x ← P(x − γ_t (d_f + λ_t d_g)), at
    the same time, with λ_t = ρ_t / (2 α_t). Steps ρ_t ∝ (t + 1)^(−2/5) and γ_t ∝ α_t ∝
    (t + 1)^(−3/5) make λ_t ∝ (t + 1)^(1/5); β_t falls as ρ_t².

    Parameters
    ----------
    penalty : float
        λ_0; λ_t = λ_0 (t + 1)^(outer_exponent − step_exponent). y's step along ∇z g is
        half of z's, so that with one step of each an iteration y falls behind z where λ
        is large, and x follows the lag. At 1 / 2 all steps are as long: α_0 = γ_0 = ρ_0.
    outer_ratio : float
        ρ_0 / γ_0; 2 λ_0 where γ_t = α_t.
    weight : float
        β_1.

    References
    ----------
    J. Kwon, D. Kwon, S. Wright, R. Nowak, "A fully first-order method for stochastic
    bilevel optimization", ICML 2023. The constants are ours, and so is the order of the
    steps.
    """

    name = "F3SA"
    parameters = {
        "penalty": [0.5],
        "weight": [0.9],
        "step_exponent": [0.4],
        "outer_ratio": [1.0],
        "outer_exponent": [0.6],
    }
    ranges = {"penalty": Number(above=0), "weight": Number(at_least=0, at_most=1)}
    search_space = ["step_size", "outer_step", "penalty", "weight"]
    test_config = {"penalty": 5.0}
    shares_samples = False
    needs_all_of_z = True

    @staticmethod
    def init(inner, outer, z, x):
        of_y, of_x = (zeros_like(z), zeros_like(z)), (zeros_like(x), zeros_like(x))
        return z, x, copy(z), of_y, zeros_like(z), of_x, (copy(z), copy(x), copy(z))

    @staticmethod
    def step(
        inner, outer, state, steps, t, penalty, weight, step_exponent, outer_exponent
    ):
        z, x, y, (y_f, y_g), z_g, (x_f, x_g), (z_old, x_old, y_old) = state
        multiplier = penalty * decay(t, step_exponent - outer_exponent)
        beta = 1.0 if t == 0 else storm_momentum(t, weight, step_exponent)
        i, j, k, m = inner.draw(), outer.draw(), inner.draw(), inner.draw()
        fz, fx = outer.grad(y, x, j)
        fz_old, fx_old = outer.grad(y_old, x_old, j)
        storm(y_f, beta, fz, fz_old)
        storm(x_f, beta, fx, fx_old)
        storm(y_g, beta, inner.grad(y, x, i), inner.grad(y_old, x_old, i))
        storm(z_g, beta, inner.grad(z, x, k), inner.grad(z_old, x_old, k))
        new, old = zeros_like(x), zeros_like(x)
        descend(new, -1.0, inner.grad_x(y, x, m))
        descend(new, 1.0, inner.grad_x(z, x, m))
        descend(old, -1.0, inner.grad_x(y_old, x_old, m))
        descend(old, 1.0, inner.grad_x(z_old, x_old, m))
        storm(x_g, beta, new, old)
        assign(z_old, z)
        assign(x_old, x)
        assign(y_old, y)
        descend(y, steps.inner / (2.0 * multiplier), y_f)
        descend(y, steps.inner / 2.0, y_g)
        descend(z, steps.inner, z_g)
        d = copy(x_f)
        descend(d, -multiplier, x_g)
        outer.descend(x, steps.outer, d)

    @staticmethod
    def oracle_calls(t, b, c, n, m):
        return Calls(
            outer_gradients=2 * c, inner_gradients=4 * b, inner_gradients_x=4 * b
        )

    @staticmethod
    def estimate(t, penalty):
        return Penalised(penalty)
