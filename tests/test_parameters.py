"""Ranges of parameters: what is taken, as what, and the line that refuses the rest."""

from reprlib import repr as shortened

import click
import numpy as np
import pytest

from benchmark_bilevel.parameters import Boolean, Choice, Integer, Number, checked

POSITIVE = Number(above=0)
COUNT = Integer(at_least=1)
SIZE = Integer(at_least=1, also=("full",))
STEP = Number(above=0, also=(None,))
CALLS = Number(above=0, also=(np.inf,))
SHARE = Number(at_least=0, at_most=1)


@pytest.mark.parametrize(
    ("expected", "value", "result"),
    [
        (COUNT, 7, 7),
        (COUNT, 1e4, 10_000),
        (COUNT, "1e4", 10_000),
        (COUNT, np.int32(7), 7),
        (COUNT, 2**63 - 1, 2**63 - 1),
        (SIZE, "full", "full"),
        (POSITIVE, "1e-2", 0.01),
        (POSITIVE, 2, 2.0),
        (POSITIVE, np.float32(0.5), 0.5),
        (STEP, None, None),
        (CALLS, np.inf, np.inf),
        (SHARE, 0, 0.0),
        (SHARE, 1, 1.0),
        (Boolean(), False, False),
        (Choice("numba", "torch"), "torch", "torch"),
    ],
)
def test_taken(expected, value, result):
    taken = checked("SOBA", {"name": value, "other": object}, {"name": expected})
    assert taken == {"name": result, "other": object}
    assert type(taken["name"]) is type(result)


@pytest.mark.parametrize(
    ("expected", "value", "words"),
    [
        (COUNT, 0, "a positive integer"),
        (COUNT, 2.5, "a positive integer"),
        (COUNT, "many", "a positive integer"),
        (COUNT, None, "a positive integer"),
        (COUNT, [3], "a positive integer"),
        (COUNT, np.inf, "a positive integer"),
        (COUNT, 2**63, "an integer below 2**63"),
        (COUNT, 10**400, "an integer below 2**63"),
        (COUNT, True, "a positive integer"),
        (SIZE, "half", "a positive integer or 'full'"),
        (POSITIVE, True, "a positive number"),
        (POSITIVE, 0, "a positive number"),
        (POSITIVE, np.nan, "a positive number"),
        (POSITIVE, 10**400, "a positive number"),
        (POSITIVE, np.inf, "a positive number"),
        (POSITIVE, "nan", "a positive number"),
        (POSITIVE, 1j, "a positive number"),
        (POSITIVE, "", "a positive number"),
        (STEP, 0, "a positive number or None"),
        (CALLS, -np.inf, "a positive number or inf"),
        (SHARE, 1.5, "a number ≥ 0 and ≤ 1"),
        (Number(above=-1, below=1), 1, "a number > -1 and < 1"),
        (Integer(), "x", "an integer"),
        (Integer(), -(2**63), "an integer below 2**63"),
        (Boolean(), 1, "True or False"),
        (Choice("numba", "torch"), "jax", "one of numba, torch"),
        (Choice(1, 2), True, "one of 1, 2"),
    ],
)
def test_refused(expected, value, words):
    with pytest.raises(click.UsageError) as error:
        checked("SOBA", {"name": value}, {"name": expected})
    assert error.value.message == (
        f"SOBA: name={shortened(value)} is not valid; expected {words}."
    )
