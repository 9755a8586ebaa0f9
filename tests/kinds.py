"""A small solver of each kind that `benchmark_bilevel.methods.facts` can declare."""

from benchmark_bilevel.methods import (
    Implicit,
    Penalised,
    Unrolled,
    assign,
    conjugate_gradient,
    copy,
    descend,
    dot,
    draw_batch,
    draw_blocks,
    draw_hia,
    hia,
    linear_sgd,
    reverse_sweep,
    scale,
    sgd,
    stored_sgd,
    trajectory,
    zeros_like,
)
from benchmark_bilevel.solver import BilevelSolver

FULL = {"batch_size": ["full"], "outer_batch_size": ["full"]}


class GradientStart(BilevelSolver):
    """Steps on v that start at −∇z f."""

    name = "gradient start"
    parameters = {"n_linear": [2]}

    @staticmethod
    def init(inner, outer, z, x):
        return z, x

    @staticmethod
    def step(inner, outer, state, steps, t, n_linear):
        z, x = state
        descend(z, steps.inner, inner.grad(z, x, inner.draw()))
        fz, fx = outer.grad(z, x, outer.draw())
        v = zeros_like(z)
        descend(v, 1.0, fz)
        linear_sgd(inner, z, x, v, fz, steps.linear, n_linear)
        outer.descend(x, steps.outer, inner.cross(z, x, v, inner.draw()), fx)

    @staticmethod
    def estimate(t, linear_step, n_linear):
        return Implicit(1, n_linear, linear_step, start=1.0)


class ConjugateGradients(BilevelSolver):
    """Two conjugate gradient steps from v = 0."""

    name = "conjugate gradients"
    parameters = {"n_linear": [2], **FULL}

    @staticmethod
    def init(inner, outer, z, x):
        return z, x

    @staticmethod
    def step(inner, outer, state, steps, t, n_linear):
        z, x = state
        sgd(inner, z, x, steps.inner, 2)
        fz, fx = outer.grad(z, x, outer.draw())
        v = zeros_like(z)
        conjugate_gradient(inner, z, x, v, fz, n_linear, draw_batch(inner, 1))
        outer.descend(x, steps.outer, inner.cross(z, x, v, inner.draw()), fx)

    @staticmethod
    def estimate(t, n_linear):
        return Implicit(2, n_linear, conjugate=True)


class Regularised(BilevelSolver):
    """v = −(H + ε)⁻¹∇z f."""

    name = "regularised"
    parameters = {"ridge": [0.5], **FULL}

    @staticmethod
    def init(inner, outer, z, x):
        return z, x

    @staticmethod
    def step(inner, outer, state, steps, t, ridge):
        z, x = state
        descend(z, steps.inner, inner.grad(z, x, inner.draw()))
        fz, fx = outer.grad(z, x, outer.draw())
        v = zeros_like(z)
        for _ in range(80):
            hv = inner.hvp(z, x, v, inner.draw())
            descend(hv, -ridge, v)
            descend(v, 0.6, hv, fz)
        outer.descend(x, steps.outer, inner.cross(z, x, v, inner.draw()), fx)

    @staticmethod
    def estimate(t, ridge):
        return Implicit(1, None, ridge=ridge)


class Tracking(BilevelSolver):
    """v solved for at the old point; z moves by −ρ∇z g − H⁻¹Jᵀ(x_new − x_old)."""

    name = "tracking"
    parameters = FULL

    @staticmethod
    def init(inner, outer, z, x):
        return z, x, copy(x)

    @staticmethod
    def step(inner, outer, state, steps, t):
        z, x, x_old = state
        i = inner.draw()
        gz = inner.grad(z, x, i)
        fz, fx = outer.grad(z, x, outer.draw())
        v = zeros_like(z)
        batch = draw_batch(inner, 1)
        conjugate_gradient(inner, z, x, v, fz, 5, batch)
        assign(x_old, x)
        outer.descend(x, steps.outer, inner.cross(z, x_old, v, i), fx)
        change, pulled, unit = copy(x), zeros_like(z), zeros_like(z)
        descend(change, 1.0, x_old)
        for k in range(z.shape[0]):
            unit[k] = 1.0
            pulled[k] = dot(change, inner.cross(z, x_old, unit, i))
            unit[k] = 0.0
        move = zeros_like(z)
        conjugate_gradient(inner, z, x_old, move, pulled, 5, batch)
        descend(z, steps.inner, gz)
        descend(z, -1.0, move)

    @staticmethod
    def estimate(t):
        return Implicit(0, None, simultaneous=True, tracks_x=True)


class RandomTruncation(BilevelSolver):
    """TTSA: one step on z, a randomly truncated product for v."""

    name = "random truncation"
    parameters = {"n_terms": [3]}

    @staticmethod
    def init(inner, outer, z, x):
        return z, x

    @staticmethod
    def step(inner, outer, state, steps, t, n_terms):
        z, x = state
        descend(z, steps.inner, inner.grad(z, x, inner.draw()))
        fz, fx = outer.grad(z, x, outer.draw())
        v = hia(inner, z, x, fz, steps.linear, draw_hia(inner, n_terms))
        outer.descend(x, steps.outer, inner.cross(z, x, v, inner.draw()), fx)

    @staticmethod
    def estimate(t, linear_step, n_terms):
        return Implicit(1, n_terms, linear_step, truncations=n_terms)


class Averaged(BilevelSolver):
    """SMB: the same, and x moves along a moving average."""

    name = "averaged"
    parameters = {"n_terms": [3], "momentum": [0.5]}

    @staticmethod
    def init(inner, outer, z, x):
        return z, x, zeros_like(x)

    @staticmethod
    def step(inner, outer, state, steps, t, n_terms, momentum):
        z, x, m = state
        descend(z, steps.inner, inner.grad(z, x, inner.draw()))
        fz, fx = outer.grad(z, x, outer.draw())
        v = hia(inner, z, x, fz, steps.linear, draw_hia(inner, n_terms))
        scale(m, 1.0 - momentum)
        descend(m, -momentum, inner.cross(z, x, v, inner.draw()), fx)
        outer.descend(x, steps.outer, m)

    @staticmethod
    def estimate(t, linear_step, n_terms):
        return Implicit(1, n_terms, linear_step, truncations=n_terms, use="averaged")


class Adam(BilevelSolver):
    """SOBA with Adam's steps on x and on z."""

    name = "Adam"

    @staticmethod
    def init(inner, outer, z, x):
        moments = zeros_like(z), zeros_like(z), zeros_like(x), zeros_like(x)
        return z, x, zeros_like(z), moments

    @staticmethod
    def step(inner, outer, state, steps, t):
        z, x, v, (mz, sz, mx, sx) = state
        gz, hv, jv = inner.grad_hvp_cross(z, x, v, inner.draw())
        fz, fx = outer.grad(z, x, outer.draw())
        d = zeros_like(x)
        descend(d, -1.0, jv, fx)
        mz += 0.1 * (gz - mz)
        sz += 0.01 * (gz * gz - sz)
        mx += 0.1 * (d - mx)
        sx += 0.01 * (d * d - sx)
        c, e = 1.0 - 0.9 ** (t + 1), 1.0 - 0.99 ** (t + 1)
        descend(v, steps.linear, hv, fz)
        z -= steps.inner * (mz / c) / ((sz / e) ** 0.5 + 1e-12)
        outer.descend(x, steps.outer, (mx / c) / ((sx / e) ** 0.5 + 1e-12))

    @staticmethod
    def estimate(t, linear_step):
        return Implicit(
            step=linear_step,
            warm_v=True,
            simultaneous=True,
            use="scaled",
            inner_use="scaled",
        )


class Normalised(BilevelSolver):
    """One step on z and on v, then a step of fixed length along a moving average."""

    name = "normalised"

    @staticmethod
    def init(inner, outer, z, x):
        return z, x, zeros_like(z), zeros_like(x)

    @staticmethod
    def step(inner, outer, state, steps, t):
        z, x, v, m = state
        descend(z, steps.inner, inner.grad(z, x, inner.draw()))
        fz, fx = outer.grad(z, x, outer.draw())
        descend(v, steps.linear, inner.hvp(z, x, v, inner.draw()), fz)
        scale(m, 0.9)
        descend(m, -0.1, inner.cross(z, x, v, inner.draw()), fx)
        outer.descend(x, steps.outer / (dot(m, m) ** 0.5 + 1e-12), m)

    @staticmethod
    def estimate(t, linear_step):
        return Implicit(1, 1, linear_step, warm_v=True, use="normalised")


class Trajectory(BilevelSolver):
    """ITD: T steps on z and the derivative of f at their end, from z or from z0."""

    name = "trajectory"
    parameters = {"n_steps": [3], "warm": [True]}
    unbiased = False

    @staticmethod
    def init(inner, outer, z, x, n_steps):
        return z, x, copy(z), trajectory(z, n_steps)

    @staticmethod
    def step(inner, outer, state, steps, t, n_steps, warm):
        z, x, z0, path = state
        if not warm:
            assign(z, z0)
        blocks = draw_blocks(inner, n_steps)
        stored_sgd(inner, z, x, steps.inner, blocks, path, 0.5)
        fz, fx = outer.grad(z, x, outer.draw())
        a, d = zeros_like(z), zeros_like(x)
        descend(a, -1.0, fz)
        descend(d, -1.0, fx)
        reverse_sweep(inner, x, a, d, steps.inner, blocks, path, 0.5)
        outer.descend(x, steps.outer, d)

    @staticmethod
    def estimate(t, n_steps, warm):
        return Unrolled(n_steps, warm_z=warm, decrease=0.5)


class Perturbed(BilevelSolver):
    """PZOBO: the derivative of z_T(x) from a second run at x + μu, u normal."""

    name = "perturbed"
    parameters = {"n_steps": [3], "size": [0.1]}
    unbiased = False

    @staticmethod
    def init(inner, outer, z, x):
        return z, x, copy(z), copy(x)

    @staticmethod
    def step(inner, outer, state, steps, t, n_steps, size):
        z, x, z_moved, x_moved = state
        assign(z_moved, z)
        assign(x_moved, x)
        u = inner.normal(x)
        descend(x_moved, -size, u)
        for _ in range(n_steps):
            i = inner.draw()
            descend(z, steps.inner, inner.grad(z, x, i))
            descend(z_moved, steps.inner, inner.grad(z_moved, x_moved, i))
        fz, fx = outer.grad(z, x, outer.draw())
        descend(z_moved, 1.0, z)
        d = zeros_like(x)
        descend(d, -dot(z_moved, fz) / size, u)
        outer.descend(x, steps.outer, d, fx)

    @staticmethod
    def estimate(t, n_steps):
        return Unrolled(n_steps, noisy=True)


class Penalty(BilevelSolver):
    """F2SA with a constant penalty."""

    name = "penalty"
    parameters = {"penalty": [5.0], "n_steps": [5]}
    unbiased = False

    @staticmethod
    def init(inner, outer, z, x):
        return z, x, copy(z)

    @staticmethod
    def step(inner, outer, state, steps, t, penalty, n_steps):
        z, x, y = state
        for _ in range(n_steps):
            descend(z, steps.inner, inner.grad(z, x, inner.draw()))
            fz, _fx = outer.grad(y, x, outer.draw())
            gz = inner.grad(y, x, inner.draw())
            descend(y, steps.inner / penalty, fz)
            descend(y, steps.inner, gz)
        _fz, fx = outer.grad(y, x, outer.draw())
        d, i = zeros_like(x), inner.draw()
        descend(d, -penalty, inner.grad_x(y, x, i))
        descend(d, penalty, inner.grad_x(z, x, i))
        outer.descend(x, steps.outer, d, fx)

    @staticmethod
    def estimate(t, penalty):
        return Penalised(penalty)


class CentralPenalty(BilevelSolver):
    """F2SA-2: minimisers of g ± f / λ, the mean of them as the model."""

    name = "central penalty"
    parameters = {"penalty": [5.0], "n_steps": [5]}
    unbiased = False

    @staticmethod
    def init(inner, outer, z, x):
        return z, x, copy(z), copy(z)

    @staticmethod
    def step(inner, outer, state, steps, t, penalty, n_steps):
        z, x, above, below = state
        for _ in range(n_steps):
            descend(z, steps.inner, inner.grad(z, x, inner.draw()))
            fz, _fx = outer.grad(above, x, outer.draw())
            gz = inner.grad(above, x, inner.draw())
            descend(above, steps.inner / penalty, fz)
            descend(above, steps.inner, gz)
            fz, _fx = outer.grad(below, x, outer.draw())
            gz = inner.grad(below, x, inner.draw())
            descend(below, -steps.inner / penalty, fz)
            descend(below, steps.inner, gz)
        _fz, fx = outer.grad(z, x, outer.draw())
        d, i = zeros_like(x), inner.draw()
        descend(d, -0.5 * penalty, inner.grad_x(above, x, i))
        descend(d, 0.5 * penalty, inner.grad_x(below, x, i))
        outer.descend(x, steps.outer, d, fx)

    @staticmethod
    def estimate(t, penalty):
        return Penalised(penalty, nodes={1: 0.5, -1: -0.5}, outer_node=0)


class ValueFunction(BilevelSolver):
    """V-PBGD: z and x descend f + γ (g(z, x) − g(ẑ, x)), ẑ a few steps from z."""

    name = "value function"
    parameters = {"penalty": [5.0], "n_steps": [4]}
    unbiased = False

    @staticmethod
    def init(inner, outer, z, x):
        return z, x

    @staticmethod
    def step(inner, outer, state, steps, t, penalty, n_steps):
        z, x = state
        y = copy(z)
        sgd(inner, y, x, steps.inner, n_steps)
        fz, fx = outer.grad(z, x, outer.draw())
        i = inner.draw()
        gz, d = inner.grad(z, x, i), zeros_like(x)
        descend(d, -penalty, inner.grad_x(z, x, i))
        descend(d, penalty, inner.grad_x(y, x, i))
        descend(z, steps.inner / penalty, fz)
        descend(z, steps.inner, gz)
        outer.descend(x, steps.outer, d, fx)

    @staticmethod
    def estimate(t, penalty, n_steps):
        return Penalised(penalty, reference_steps=n_steps)


class DynamicBarrier(BilevelSolver):
    """BOME: the multiplier of g(z, x) − g(ẑ, x) that makes it fall."""

    name = "dynamic barrier"
    parameters = {"n_steps": [4], "rate": [0.5]}
    unbiased = False

    @staticmethod
    def init(inner, outer, z, x):
        return z, x

    @staticmethod
    def step(inner, outer, state, steps, t, n_steps, rate):
        z, x = state
        y = copy(z)
        sgd(inner, y, x, 0.5, n_steps)
        fz, fx = outer.grad(z, x, outer.draw())
        i = inner.draw()
        qz, qx, d = inner.grad(z, x, i), inner.grad_x(z, x, i), zeros_like(x)
        descend(qx, 1.0, inner.grad_x(y, x, i))
        descend(d, -1.0, fx)
        square = dot(qz, qz) + dot(qx, qx)
        slope = dot(qz, fz) + dot(qx, d)
        multiplier = max(0.0, (rate * square - slope) / (square + 1e-8))
        descend(z, steps.inner, fz)
        descend(z, steps.inner * multiplier, qz)
        descend(d, -multiplier, qx)
        outer.descend(x, steps.outer, d)

    @staticmethod
    def estimate(t, n_steps):
        return Implicit(0, n_steps, 0.5, use="vanishing")


# Each with a declaration that is wrong by as little as a slip of the pen.
KINDS = {
    GradientStart: lambda t, linear_step: Implicit(1, 2, linear_step),
    ConjugateGradients: lambda t: Implicit(2, 3, conjugate=True),
    Regularised: lambda t: Implicit(1, None, ridge=0.4),
    Tracking: lambda t: Implicit(0, None, simultaneous=True),
    RandomTruncation: lambda t, linear_step: Implicit(1, 4, linear_step, truncations=3),
    Averaged: lambda t, linear_step: Implicit(
        1, 2, linear_step, truncations=3, use="averaged"
    ),
    Adam: lambda t, linear_step: Implicit(
        0, 3, linear_step, use="scaled", inner_use="scaled"
    ),
    Normalised: lambda t, linear_step: Implicit(1, 3, linear_step, use="normalised"),
    Trajectory: lambda t: Unrolled(3),
    Perturbed: lambda t: Unrolled(1, noisy=True),
    Penalty: lambda t: Penalised(6.0),
    CentralPenalty: lambda t: Penalised(5.0),
    ValueFunction: lambda t: Penalised(5.0, reference_steps=5),
    DynamicBarrier: lambda t: Implicit(0, 5, 0.5, use="vanishing"),
}
