from benchmark_bilevel.methods import (
    Calls,
    Implicit,
    add,
    assign,
    copy,
    decay,
    descend,
    storm,
    zeros_like,
)
from benchmark_bilevel.parameters import Number
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """FSLA: one step on z, one on v at the new z, and STORM on the direction of x.

    With fresh samples for all: z ← z − ρ ∇z g; v ← v − η (H v + ∇z f) at the new z;
    d ← h + (1 − α_t) (d − h_old), where h = ∇x f + J v at the new z and v, and h_old is
    from the same samples at the point where h was taken before; x ← P(x − γ d). Steps
    decrease as (t + 1)^(−1/2), and so does α_t.

    Parameters
    ----------
    weight : float
        α_t = weight · (t + 1)^−outer_exponent.

    References
    ----------
    J. Li, B. Gu, H. Huang, "A fully single loop algorithm for bilevel optimization
    without Hessian inverse", AAAI 2022. The constants are ours. (The authors' code has
    no h_old at all; in other public code the old x starts at 0.)
    """

    name = "FSLA"
    parameters = {"weight": [0.5], "step_exponent": [0.5], "outer_exponent": [0.5]}
    ranges = {"weight": Number(above=0, at_most=1)}
    search_space = ["step_size", "linear_step", "outer_step", "weight"]
    shares_samples = False
    needs_all_of_z = True

    @staticmethod
    def init(inner, outer, z, x):
        v = zeros_like(z)
        return z, x, v, zeros_like(x), copy(z), copy(x), copy(v)

    @staticmethod
    def step(inner, outer, state, steps, t, weight, outer_exponent):
        z, x, v, d, z_old, x_old, v_old = state
        descend(z, steps.inner, inner.grad(z, x, inner.draw()))
        fz, _ = outer.grad(z, x, outer.draw())
        descend(v, steps.linear, inner.hvp(z, x, v, inner.draw()), fz)
        i, j = inner.draw(), outer.draw()
        fx = outer.grad_x(z, x, j)
        h = add(inner.cross(z, x, v, i), fx)
        if t == 0:
            assign(d, h)
        else:
            fx_old = outer.grad_x(z_old, x_old, j)
            h_old = add(inner.cross(z_old, x_old, v_old, i), fx_old)
            storm(d, weight * decay(t, outer_exponent), h, h_old)
        assign(z_old, z)
        assign(x_old, x)
        assign(v_old, v)
        outer.descend(x, steps.outer, d)

    @staticmethod
    def oracle_calls(t, b, c, n, m):
        points = 1 if t == 0 else 2
        return Calls(
            outer_gradients=(1 + points) * c,
            inner_gradients=b,
            hessian_vector_products=b,
            jacobian_vector_products=points * b,
        )

    @staticmethod
    def estimate(t, linear_step):
        return Implicit(1, 1, linear_step, warm_v=True)
