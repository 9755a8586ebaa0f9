"""Step sizes as functions of the iteration."""

import math
from typing import NamedTuple

from numba import njit

from benchmark_bilevel.fingerprint import INLINED


class Schedule(NamedTuple):
    """Constants of the step sizes: step = constant · (t + 1)^−exponent."""

    inner: float
    linear: float
    outer: float
    exponent: float  # of the inner and of the linear step
    outer_exponent: float


class Steps(NamedTuple):
    """The three step sizes of one iteration: of z, of v and of x."""

    inner: float
    linear: float
    outer: float


@njit(**INLINED)
def decay(t, exponent):
    """(t + 1)^−exponent; the two usual exponents avoid the slow power."""
    if exponent == 0.0:
        return 1.0
    if exponent == 0.5:
        return 1.0 / math.sqrt(t + 1.0)
    return (t + 1.0) ** -exponent


@njit(**INLINED)
def steps_at(schedule, t):
    """Step sizes of iteration `t` = 0, 1, …"""
    factor = decay(t, schedule.exponent)
    return Steps(
        schedule.inner * factor,
        schedule.linear * factor,
        schedule.outer * decay(t, schedule.outer_exponent),
    )
