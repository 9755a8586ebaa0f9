"""What values a parameter may have, declared beside it and checked before anything runs.

>>> ranges = {"n_samples": Integer(at_least=1), "step": Number(above=0, also=(None,))}
>>> checked("SOBA", {"n_samples": 1e4, "step": "1e-2"}, ranges)
{'n_samples': 10000, 'step': 0.01}

A range is called with a value: it returns the value as the code gets it, or raises
`ValueError` with what it expected. An integer may be written ``1e4``, and a number be
text: YAML reads ``1e-2`` so.
"""

import re
from dataclasses import dataclass
from math import inf, isfinite
from numbers import Integral, Real
from reprlib import repr as shortened

import click
from benchopt.utils.parametrized_name_mixin import _get_used_parameters, product_param

LARGEST = 2**63 - 1  # of the integers that compiled code and result files can hold


@dataclass(frozen=True)
class Number:
    """A finite number within bounds, or one of the values `also`, as a float.

    Parameters
    ----------
    above, at_least, below, at_most : float
        The bounds.
    also : tuple
        Further values, such as None, "full" or infinity.
    """

    above: float = -inf
    at_least: float = -inf
    below: float = inf
    at_most: float = inf
    also: tuple = ()

    kind = "number"

    def __call__(self, value):
        for further in self.also:
            if type(value) is type(further) and value == further:
                return value
        number = self._read(value)
        if number is None or not (
            self.above < number < self.below and self.at_least <= number <= self.at_most
        ):
            raise ValueError(self._expected())
        return number

    def _read(self, value):
        """`value` as a finite float; None if it is none."""
        if isinstance(value, bool) or not isinstance(value, Real | str):
            return None
        try:
            number = float(value)
        except (ValueError, OverflowError):
            return None
        return number if isfinite(number) else None

    def _expected(self):
        bounds = [
            f"{sign} {bound:.10g}"
            for sign, bound in (
                (">", self.above),
                ("≥", self.at_least),
                ("<", self.below),
                ("≤", self.at_most),
            )
            if isfinite(bound) and bound != LARGEST
        ]
        article = "an" if self.kind.startswith("i") else "a"
        text = " ".join([article, self.kind, " and ".join(bounds)]).rstrip()
        text = {
            "a number > 0": "a positive number",
            "an integer ≥ 1": "a positive integer",
        }.get(text, text)
        return " or ".join([text, *map(repr, self.also)])


@dataclass(frozen=True)
class Integer(Number):
    """An integer within bounds, or one of the values `also`."""

    at_most: float = LARGEST

    kind = "integer"

    def _read(self, value):
        if isinstance(value, Integral) and not isinstance(value, bool):
            integer = int(value)
        else:
            number = super()._read(value)
            if number is None or not number.is_integer():
                return None
            integer = int(number)
        if abs(integer) > LARGEST:
            raise ValueError("an integer below 2**63")
        return integer


class Boolean:
    """True or False."""

    def __call__(self, value):
        if not isinstance(value, bool):
            raise ValueError("True or False")
        return value


class Choice:
    """One of a few values."""

    def __init__(self, *values):
        self.values = values

    def __call__(self, value):
        for allowed in self.values:
            if type(value) is type(allowed) and value == allowed:
                return value
        raise ValueError(f"one of {', '.join(map(str, self.values))}")


def checked(owner, parameters, ranges):
    """`parameters`, those that `ranges` name being checked and converted.

    Parameters
    ----------
    owner : str
        Whose parameters they are, for the message.
    parameters : dict
        Values by name.
    ranges : dict
        `Number`, `Integer`, `Boolean`, `Choice` or alike by name.

    Raises
    ------
    click.UsageError
        In one line, at the first value that is not in its range.
    """
    return {
        name: check(owner, name, value, ranges[name]) if name in ranges else value
        for name, value in parameters.items()
    }


def check(owner, name, value, expected):
    """`value` as the range `expected` gives it; `click.UsageError` if it is not in it."""
    try:
        return expected(value)
    except ValueError as error:
        raise click.UsageError(
            f"{owner}: {name}={shortened(value)} is not valid; expected {error}."
        ) from None


def require_declared(owner, parameters, ranges, inherited):
    """Raise `click.UsageError` unless these are what a class may declare so.

    Parameters
    ----------
    owner : str
    parameters, ranges : dict
    inherited : iterable of str
        The parameters of its base, of which there may be ranges as well.
    """
    for what, given in (("parameters", parameters), ("ranges", ranges)):
        if not isinstance(given, dict):
            raise click.UsageError(f"{owner}: {what}={shortened(given)} is no dict.")
    for name in (*parameters, *ranges):
        if not isinstance(name, str):
            raise click.UsageError(
                f"{owner}: {shortened(name)} is no name of a parameter; names are text."
            )
    for name, values in parameters.items():
        if isinstance(values, list | tuple) and not values:
            raise click.UsageError(f"{owner}: parameters gives {name} no value.")
    known = [*parameters, *inherited]
    for name, expected in ranges.items():
        if not callable(expected) or isinstance(expected, type):
            raise click.UsageError(
                f"{owner}: {shortened(expected)} is no range of {name}; expected one "
                "such as Number(at_least=0)."
            )
        if name not in known:
            raise click.UsageError(
                f"{owner}: ranges has {name!r}, which is no parameter; it has "
                f"{', '.join(known)}."
            )


def defaults(parameters):
    """The first value of each of `parameters`, of those given together, too."""
    return next(product_param(parameters))


class Selection(dict):
    """`parameters` of a class: values by name, of which a selection is checked at once.

    benchopt makes an instance only when the runs before it are over. What it does with
    all that a command asks for, before any of them, is to put it over a copy of this.

    Parameters
    ----------
    parameters : dict
        Lists of values by name.
    owner : subclass of CheckedParameters
    """

    def __init__(self, parameters, owner):
        super().__init__(parameters)
        self.owner = owner

    def copy(self):
        return Selection(self, self.owner)

    def update(self, selected):
        super().update(selected)
        for parameters in _get_used_parameters(self.owner, self):
            self.owner.get_instance(**parameters)


class CheckedParameters:
    """For benchopt's classes: parameters are checked, and shown where they are changed.

    It comes before benchopt's own class among the bases.

    Attributes
    ----------
    ranges : dict
        `Number`, `Integer`, `Boolean`, `Choice` or alike by name; those of the bases
        hold too.
    """

    parameters = {}
    ranges = {}

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        ranges = {}
        for base in reversed(cls.__mro__):
            ranges |= vars(base).get("ranges", {})
        cls.ranges = ranges
        parameters = dict(cls.parameters)
        for name in ranges.keys() & parameters.keys():
            values = parameters[name]
            values = values if isinstance(values, list | tuple) else [values]
            parameters[name] = [
                check(cls.name, name, value, ranges[name]) for value in values
            ]
        cls.parameters = Selection(parameters, cls)

    @classmethod
    def get_instance(cls, **parameters):
        instance = super().get_instance(**checked(cls.name, parameters, cls.ranges))
        reason = instance.invalid()
        if reason is not None:
            raise click.UsageError(f"{cls.name}: {reason}.")
        return instance

    def invalid(self):
        """What is wrong with the parameters together, in a few words; None if nothing."""
        return None

    def __repr__(self):
        """The name and the parameters that are not what they are by default.

        benchopt selects by it, and writes it into its results beside a column for each
        parameter.
        """
        combinations = list(product_param(self.parameters))
        changed = [
            f"{name}={_written(value)}"
            for name, value in self._parameters.items()
            if any(default[name] != value for default in combinations)
        ]
        return f"{self.name}[{','.join(changed)}]" if changed else self.name


def _written(value):
    """`value` as benchopt reads it in a selector."""
    if isinstance(value, str) and not re.fullmatch(r"[a-zA-Z/][\w./-]*", value):
        return repr(value)
    return repr(value).removesuffix(".0") if isinstance(value, float) else value
