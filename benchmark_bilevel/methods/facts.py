"""What the author of a solver may declare, for `verification` to hold it to.

A method is declared by what it estimates. Each kind of `Estimate` below has the formula
of the direction D of x's step, with full batches; the method rests where D = 0, which is
beside the minimum of h for all but exact ones. The formulas use H = ∇²zz g, J = ∇²xz g
and ρ, the step of z; all the rest an author gives,
of the iteration t where it depends on t. (What grows with t for ever rests nowhere: the
solver's `test_config` holds it constant.)

| method | declaration |
|---|---|
| SOBA, SABA, SRBA, SPABA | ``Implicit(step=η, warm_v=True, simultaneous=True)`` |
| AmIGO | ``Implicit(T, N, η, warm_v=True)`` |
| ALSET†, FSLA | ``Implicit(1, 1, η, warm_v=True)`` |
| stocBiO, MRBO with Q products | ``Implicit(T, Q + 1, η)`` |
| TTSA, BSA, ALSET by random truncation | ``Implicit(T, N, η, truncations=N)`` |
| SMB | the same with ``use="averaged"``; BiAdam: ``use="scaled"`` |
| AID-FP, AID-CG | ``Implicit(T, N, η)``, ``Implicit(T, N, conjugate=True)`` |
| SLIP | ``Implicit(S if t == 0 else 0, step=η, warm_v=True, simultaneous=True, use="normalised")`` |
| HOAG; SVRB; STABLE | ``Implicit(None, None)``; ``Implicit(0, None, simultaneous=True)``; and ``tracks_x`` |
| Nyström of full rank, H ≈ I / η | ``Implicit(T, None, ridge=ε)``, ``Implicit(T, 1, η)`` |
| ITD, PZOBO | ``Unrolled(T)``, ``Unrolled(T, noisy=True)`` |
| F2SA, F2BA | ``Penalised(λ)`` |
| F2SA-2 | ``Penalised(λ, nodes={1: 0.5, -1: -0.5}, outer_node=0)`` |
| V-PBGD | ``Penalised(γ, reference_steps=T)`` |
| BOME | ``Implicit(0, T, η, use="vanishing")`` |
"""  # noqa: E501, rows of a table cannot be broken

from dataclasses import dataclass, field
from typing import NamedTuple


class Calls(NamedTuple):
    """Per-sample oracle calls of one iteration, by kind; what is not named is 0."""

    outer_gradients: float = 0  # ∇f
    inner_gradients: float = 0  # ∇z g
    inner_gradients_x: float = 0  # ∇x g
    hessian_vector_products: float = 0  # H v
    jacobian_vector_products: float = 0  # J v
    loss_values: float = 0  # f or g


USES = ("plain", "averaged", "scaled", "normalised", "vanishing")


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What every kind declares besides D: how x uses it, and what remains random.

    Parameters
    ----------
    use : {"plain", "averaged", "scaled", "normalised", "vanishing"}
        x ← P(x − γ D); or x moves along an average of D over the iterations (momentum,
        moving averages); along A D, A diagonal and positive (Adam), averaged or not;
        along c D with a number c > 0 such as 1/‖D‖, averaged or not: with constant steps
        x may then keep a distance of O(γ) from D = 0, which falls with γ alone.
        "vanishing": the method rests at a distance from D = 0 that vanishes with the
        steps of z and x.
    inner_use : {"plain", "averaged", "scaled", "normalised"}
        How z uses the gradients of g, likewise.
    truncations : int
        D is the mean over an integer ``inner.uniform(truncations)``, drawn once an
        iteration: the product −η N Π_{j≤p}(I − ηH) ∇z f with p below N has the Neumann
        series of N terms as its mean. 0: nothing is drawn.
    noisy : bool
        D is the mean over other random numbers (perturbations), seen by Monte-Carlo.
    """

    use: str = "plain"
    inner_use: str = "plain"
    truncations: int = 0
    noisy: bool = False

    def __post_init__(self):
        for name in ("use", "inner_use"):
            if getattr(self, name) not in USES:
                value = getattr(self, name)
                raise ValueError(f"{name}={value!r} is none of {', '.join(USES)}")


@dataclass(frozen=True)
class Implicit(Estimate):
    """D = ∇x f(z', x) + J(z', x) v', with v' ≈ −H⁻¹∇z f by steps on a linear system.

    z' is z after `inner_steps` steps of gradient descent on g(·, x); v' is v after
    `linear_steps` steps of size η on ½ vᵀHv + vᵀ∇z f, at z'. A Neumann series of N terms,
    −η Σ_{k<N} (I − ηH)^k ∇z f, is N such steps from v = 0. Full solves are None.

    Parameters
    ----------
    inner_steps, linear_steps : int or None
        None is z' = z*(x) and v' = −(H + ridge)⁻¹∇z f.
    step : float
        η; 0 where there are no steps on v.
    warm_z, warm_v : bool
        z and v start where the iteration before left them, or at z0 and at
        −start ∇z f.
    start : float
        See `warm_v`; 0 is the start at v = 0.
    conjugate : bool
        The steps on v are of conjugate gradients.
    ridge : float
    decrease : float
        Step i of an iteration, on z and on v, is divided by 1 + decrease · i.
    simultaneous : bool
        D is taken at z' and the old v, and z and a warm v each make one more step from
        there.
    later_steps : int
        Steps on z after x has moved.
    tracks_x : bool
        z also follows z*(x): − H⁻¹Jᵀ(x_new − x_old) is added to its step.
    """

    inner_steps: int | None = 0
    linear_steps: int | None = 0
    step: float = 0.0
    warm_z: bool = True
    warm_v: bool = False
    start: float = 0.0
    conjugate: bool = False
    ridge: float = 0.0
    decrease: float = 0.0
    simultaneous: bool = False
    later_steps: int = 0
    tracks_x: bool = False


@dataclass(frozen=True)
class Unrolled(Estimate):
    """D = d/dx f(z_T(x), x), z_T being T steps of gradient descent ρ on g(·, x).

    By the chain rule D = ∇x f − ρ Σ_{t<T} J_t Π_{t<s<T} (I − ρH_s) ∇z f(z_T): from
    z = z*(x) this is the Neumann series of T terms.

    Parameters
    ----------
    inner_steps : int
        T.
    warm_z : bool
        They start at z_T of the iteration before, taken as a constant, or at z0: then D
        is the gradient of a function of x.
    decrease : float
        Step i is divided by 1 + decrease · i.
    """

    inner_steps: int = 1
    warm_z: bool = True
    decrease: float = 0.0


@dataclass(frozen=True)
class Penalised(Estimate):
    """D = ∇x f(y_k, x) + λ Σ_j c_j ∇x g(y_j, x), y_j the minimiser of g + (j/λ) f in z.

    First-order: differences of ∇x g stand for J v. The distance from the minimum of h is
    O(λ^−p) for nodes j and weights c_j that differentiate polynomials of degree p.

    Parameters
    ----------
    penalty : float
        λ.
    nodes : dict of float
        c_j by j. {1: 1, 0: −1} is λ (∇x g(y_1) − ∇x g(z*)).
    outer_node : float
        k, where ∇x f is taken.
    reference_steps : int or None
        y_0 is z*(x), or so many steps of gradient descent ρ on g(·, x) from y_1.
    """

    penalty: float = 1.0
    nodes: dict = field(default_factory=lambda: {1: 1.0, 0: -1.0})
    outer_node: float = 1
    reference_steps: int | None = None
