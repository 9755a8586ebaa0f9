"""Projections of perturbations of images, row by row, in numba and in PyTorch.

A perturbation y of an image a with pixels in [0, 1] keeps to the box −a ≤ y ≤ 1 − a,
and to a ball around zero. The box holds zero, so both sets shrink towards it, and each
multiplier below is the root of a piecewise linear function that a Newton method finds
exactly, after a few passes over the row.
"""

import numpy as np
from numba import njit

from benchmark_bilevel.fingerprint import FAST

# Name of the set: radius of its ball for an image of 28 × 28 pixels.
RADII = {
    "l2-then-box": 5.0,  # onto the Euclidean ball, then onto the box, as published
    "l2-box": 5.0,  # onto the intersection of both
    "linf-box": 0.2,  # onto the intersection, one after the other being the same
    "l1-then-box": 50.0,  # onto the ℓ1 ball, then onto the box
}
CONSTRAINTS = tuple(RADII)
_L2_THEN_BOX, _L2_BOX, _LINF_BOX, _L1_THEN_BOX = range(len(CONSTRAINTS))


def radius(constraint, n_pixels):
    """Radius of the ball of `constraint` for images of `n_pixels` pixels.

    The published radii are for 784 pixels; others get what allows each pixel the same
    on average: the Euclidean radius grows with √n_pixels, the ℓ1 radius with n_pixels.
    """
    power = {"l2-then-box": 0.5, "l2-box": 0.5, "linf-box": 0.0, "l1-then-box": 1.0}
    return RADII[constraint] * (n_pixels / 784) ** power[constraint]


# --- numba: one row, in place -----------------------------------------------------


@njit(**FAST)
def project_row(constraint, y, image, radius):
    """Project the perturbation `y` (n_pixels,) of `image` in place.

    Parameters
    ----------
    constraint : int
        Index in `CONSTRAINTS`.
    y, image : arrays of shape (n_pixels,)
    radius : float, of the type of `y`
    """
    if constraint == _L2_BOX:
        _onto_l2_ball_in_box(y, image, radius)
    elif constraint == _L2_THEN_BOX:
        _onto_l2_ball(y, radius)
    elif constraint == _L1_THEN_BOX:
        _onto_l1_ball(y, radius)
    else:
        for k in range(y.size):
            y[k] = _clip(y[k], -radius, radius)
    one = y.dtype.type(1)
    for k in range(y.size):
        y[k] = _clip(y[k], -image[k], one - image[k])


@njit(**FAST)
def _clip(value, low, high):  # NaN stays NaN
    if value < low:
        return low
    return high if value > high else value


@njit(**FAST)
def _onto_l2_ball(y, radius):
    square = y.dtype.type(0)
    for k in range(y.size):
        square += y[k] * y[k]
    if square > radius * radius:
        scale = radius / np.sqrt(square)
        for k in range(y.size):
            y[k] *= scale


@njit(**FAST)
def _onto_l1_ball(y, radius):
    """Soft thresholding by the root θ of Σ max(|y| − θ, 0) = radius.

    References
    ----------
    C. Michelot, "A finite algorithm for finding the projection of a point onto the
    canonical simplex of Rⁿ", J. Optim. Theory Appl. 50, 1986.
    """
    zero = y.dtype.type(0)
    threshold, above = zero, zero
    while True:
        total, count = zero, zero
        for k in range(y.size):
            if abs(y[k]) > threshold:
                total += abs(y[k])
                count += y.dtype.type(1)
        above = (total - radius) / count
        if not above > threshold:
            break
        threshold = above
    for k in range(y.size):
        shrunk = abs(y[k]) - threshold
        shrunk = zero if shrunk < zero else shrunk  # NaN stays NaN
        y[k] = shrunk if y[k] > zero else -shrunk


@njit(**FAST)
def _onto_l2_ball_in_box(y, image, radius):
    """Scale `y` so that clipping it to the box gives the nearest point of both sets.

    The nearest point is clip(y / (1 + μ)) with the least μ ≥ 0 that has it in the ball.
    In τ = (1 + μ)⁻² its square norm is Σ min(τ y², b²), with b the distance from zero
    to the side of the box that y points to: concave and piecewise linear, so that
    Newton's method started at τ = 0 rises to the root and ends there.
    """
    zero, one = y.dtype.type(0), y.dtype.type(1)
    square = radius * radius
    inside = zero
    for k in range(y.size):
        b = one - image[k] if y[k] > zero else image[k]
        inside += min(y[k] * y[k], b * b)
    if inside <= square:
        return
    root, above = zero, zero
    while True:
        free, clipped = zero, zero
        for k in range(y.size):
            b = one - image[k] if y[k] > zero else image[k]
            if root * y[k] * y[k] < b * b:
                free += y[k] * y[k]
            else:
                clipped += b * b
        above = (square - clipped) / free
        if not above > root:
            break
        root = above
    scale = np.sqrt(root)
    for k in range(y.size):
        y[k] *= scale


# --- PyTorch: all rows at once ----------------------------------------------------


def project_rows(constraint, y, images, radius):
    """The same for tensors of shape (n_images, n_pixels); returns a new tensor.

    Parameters
    ----------
    constraint : str
        One of `CONSTRAINTS`.
    y, images : tensors of shape (n_images, n_pixels)
    radius : float
    """
    if constraint == "l2-box":
        y = _rows_onto_l2_ball_in_box(y, images, radius)
    elif constraint == "l2-then-box":
        norms = y.norm(dim=1, keepdim=True)
        y = (y * (radius / norms)).where(norms > radius, y)
    elif constraint == "l1-then-box":
        y = _rows_onto_l1_ball(y, radius)
    else:
        y = y.clamp(-radius, radius)
    return y.clamp(-images, 1 - images)


def _rows_onto_l1_ball(y, radius):
    size = y.abs()
    threshold = rise_to_root(
        lambda theta: (
            (size * (size > theta)).sum(1, keepdim=True) - radius,
            (size > theta).sum(1, keepdim=True),
        ),
        y,
    )
    return y.sign() * (size - threshold).clamp(min=0)


def _rows_onto_l2_ball_in_box(y, images, radius):
    bound = (1 - images).where(y > 0, images)
    y2, b2 = y**2, bound**2
    root = rise_to_root(
        lambda tau: (
            radius**2 - (b2 * (tau * y2 >= b2)).sum(1, keepdim=True),
            (y2 * (tau * y2 < b2)).sum(1, keepdim=True),
        ),
        y,
    )
    outside = y2.minimum(b2).sum(1, keepdim=True) > radius**2
    return (y * root.sqrt()).where(outside, y)


def rise_to_root(quotient, y):
    """Rise from zero by root ← numerator / denominator until no row's root moves."""
    root = y.new_zeros(len(y), 1)
    while True:
        numerator, denominator = quotient(root)
        above = numerator / denominator
        moves = above > root
        if not moves.any():
            return root
        root = above.where(moves, root)
