"""The projections of `projections` in a diagonal metric, in numba and in PyTorch.

The nearest point in the norm √(Σ w (·)²), w > 0, of a ball around zero: as in the plain
norm it shrinks a perturbation y towards zero, by factors that now differ between pixels.
With one multiplier ν they are |y| w / (w + ν) for the Euclidean ball (within a box or
not) and max(|y| − ν / w, 0) for the ℓ1 ball. Clipping to the box does not depend on w.
"""

import numpy as np
from numba import njit

from benchmark_bilevel.fingerprint import FAST
from benchmark_bilevel.problems.poisoning.projections import (
    CONSTRAINTS,
    project_row,
    project_rows,
    rise_to_root,
)

_L2_THEN_BOX = CONSTRAINTS.index("l2-then-box")
_L2_BOX = CONSTRAINTS.index("l2-box")
_L1_THEN_BOX = CONSTRAINTS.index("l1-then-box")


# --- numba: one row, in place -----------------------------------------------------


@njit(**FAST)
def project_row_scaled(constraint, y, image, radius, w):
    """Project the perturbation `y` of `image` in place, in the metric of `w`.

    Parameters
    ----------
    constraint : int
        Index in `CONSTRAINTS`.
    y, image, w : arrays of shape (n_pixels,)
    radius : float, of the type of `y`
    """
    if constraint in (_L2_BOX, _L2_THEN_BOX):
        _onto_l2_ball(y, image, radius, w, constraint == _L2_BOX)
    elif constraint == _L1_THEN_BOX:
        _onto_l1_ball(y, radius, w)
    project_row(
        constraint, y, image, radius
    )  # it is in the ball: what is left is the box


@njit(**FAST)
def _onto_l2_ball(y, image, radius, w, boxed):
    """Shrink `y` until it, or what the box leaves of it if `boxed`, is in the ball.

    In σ = ν⁻² the square norm is Σ min(σ (w y / (1 + w √σ))², b²), with b the side of
    the box or ∞: concave, so that Newton's method started at σ = 0 rises to the root.
    """
    zero, one = y.dtype.type(0), y.dtype.type(1)
    square, infinity = radius * radius, y.dtype.type(np.inf)
    inside = zero
    for k in range(y.size):
        side = (one - image[k] if y[k] > zero else image[k]) if boxed else infinity
        inside += min(y[k] * y[k], side * side)
    if not inside > square:
        return
    root = zero
    while True:
        total, slope = zero, zero
        t = np.sqrt(root)
        for k in range(y.size):
            side = (one - image[k] if y[k] > zero else image[k]) if boxed else infinity
            shrink = one / (one + w[k] * t)
            moment = w[k] * y[k] * shrink
            free = root * moment * moment
            if free < side * side:
                total += free
                slope += moment * moment * shrink
            else:
                total += side * side
        above = root + (square - total) / slope
        if not above > root:
            break
        root = above
    t = np.sqrt(root)
    for k in range(y.size):
        y[k] *= w[k] * t / (one + w[k] * t)


@njit(**FAST)
def _onto_l1_ball(y, radius, w):
    """Soft thresholding by the root ν of Σ max(|y| − ν / w, 0) = radius."""
    zero, one = y.dtype.type(0), y.dtype.type(1)
    root = zero
    while True:
        total, slope = zero, zero
        for k in range(y.size):
            if abs(y[k]) * w[k] > root:
                total += abs(y[k])
                slope += one / w[k]
        above = (total - radius) / slope
        if not above > root:
            break
        root = above
    for k in range(y.size):
        shrunk = abs(y[k]) - root / w[k]
        shrunk = zero if shrunk < zero else shrunk  # NaN stays NaN
        y[k] = shrunk if y[k] > zero else -shrunk


# --- PyTorch: all rows at once ----------------------------------------------------


def project_rows_scaled(constraint, y, images, radius, w):
    """The same for tensors of shape (n_images, n_pixels); returns a new tensor."""
    if constraint in ("l2-box", "l2-then-box"):
        bound = (1 - images).where(y > 0, images)
        squares = bound**2 if constraint == "l2-box" else y.new_full((), np.inf)
        outside = (y**2).minimum(squares).sum(1) > radius**2
        squares = squares[outside] if squares.ndim else squares
        y = y.clone()
        y[outside] = _rows_onto_l2_ball(y[outside], squares, radius, w[outside])
    elif constraint == "l1-then-box":
        y = _rows_onto_l1_ball(y, radius, w)
    return project_rows(constraint, y, images, radius)


def _rows_onto_l2_ball(y, bound_squares, radius, w):
    def newton(root):
        shrink = 1 / (1 + w * root.sqrt())
        moment = (w * y * shrink) ** 2
        free = root * moment
        is_free = free < bound_squares
        slope = (moment * shrink * is_free).sum(1, keepdim=True)
        total = free.where(is_free, bound_squares).sum(1, keepdim=True)
        return radius**2 - total + root * slope, slope

    t = rise_to_root(newton, y).sqrt()
    return y * (w * t / (1 + w * t))


def _rows_onto_l1_ball(y, radius, w):
    size = y.abs()

    def newton(root):
        active = size * w > root
        total = (size * active).sum(1, keepdim=True)
        return total - radius, (active / w).sum(1, keepdim=True)

    root = rise_to_root(newton, y)
    return y.sign() * (size - root / w).clamp(min=0)
