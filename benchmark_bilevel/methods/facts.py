"""What the author of a solver may declare, for `verification` to hold it to."""

from typing import NamedTuple


class Estimate(NamedTuple):
    """The estimate of the hypergradient behind x's step, with full batches.

    The method takes z' and v', then moves x along ∇x f(z', x) + J(z', x) v': z' is z
    after some steps of gradient descent on g(·, x), and v' after some steps of gradient
    descent on ½ vᵀHv + vᵀ∇z f(z', x). A Neumann series of Q + 1 terms is Q + 1 such
    steps from v = 0.
    """

    inner_steps: int  # steps from z to z'
    terms: int  # steps from v to v'
    step: float  # η of the steps on v
    warm_z: bool = True  # z starts where the iteration before left it, or at z0
    warm_v: bool = False  # the same for v, or at 0
    decrease: float = 0.0  # step i of an iteration is divided by 1 + decrease · i
    # Steps on z besides those to z', on g(·, x) before or after x has moved.
    simultaneous_steps: int = 0
    later_steps: int = 0
