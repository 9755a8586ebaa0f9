"""What a file in ``config/search/`` may say: ranges as those of parameters."""

from benchmark_bilevel.exact.metrics import FINAL, NEVER
from benchmark_bilevel.parameters import Integer, Number, checked


class Text:
    """Text that is not empty."""

    def __call__(self, value):
        if not isinstance(value, str) or not value.strip():
            raise ValueError("text")
        return value


class Names:
    """A list of names, or one name."""

    def __call__(self, value):
        names = [value] if isinstance(value, str) else value
        if (
            not isinstance(names, list)
            or not names
            or not all(isinstance(name, str) and name for name in names)
        ):
            raise ValueError("a list of names")
        return names


class Values:
    """One value a name; of those in `ranges`, if there are any, each."""

    def __init__(self, **ranges):
        self.ranges = ranges

    def __call__(self, value):
        names = ", ".join(self.ranges)
        if not isinstance(value, dict) or not all(isinstance(k, str) for k in value):
            raise ValueError(f"values by name{names and ': '}{names}")
        if any(isinstance(one, list | dict) for one in value.values()):
            raise ValueError("one value a name")
        if self.ranges and value.keys() != self.ranges.keys():
            raise ValueError(f"{names}, each")
        for name, expected in self.ranges.items():
            try:
                value = {**value, name: expected(value[name])}
            except ValueError as error:
                raise ValueError(f"{name} to be {error}") from None
        return value


class Spaces:
    """By solver a value a name: two edges, another name's value, or this one."""

    def __call__(self, value):
        if not isinstance(value, dict) or not all(
            isinstance(name, str) and isinstance(space, dict)
            for name, space in value.items()
        ):
            raise ValueError("parameters by solver")
        for space in value.values():
            for name, one in space.items():
                if not isinstance(name, str) or isinstance(one, dict):
                    raise ValueError("[low, high], a name or a value by parameter")
                if isinstance(one, list) and len(one) != 2:
                    raise ValueError(f"{name} to be [low, high], a name or a value")
        return value


NEEDED = {
    "objective": Text(),
    "dataset": Text(),
    "oracle_calls": Number(at_least=1),
}
FIELDS = NEEDED | {
    "trials": Integer(at_least=1),
    "score": Text(),
    "fixed": Values(),
    "space": Spaces(),
    "solvers": Names(),
    "units": Values(inner=Number(above=0), outer=Number(above=0)),
    "transfer_from": Names(),
    "repetitions": Integer(at_least=1),
    "exact_evaluations": Integer(at_least=0, also=(FINAL, NEVER)),
    "comment": Text(),
}


def read_fields(path, content):
    """What `content`, the YAML of the file `path`, says, checked key by key.

    Raises
    ------
    ValueError
        Where it is no search at all.
    click.UsageError
        At the first value that cannot be, in one line.
    """
    if not isinstance(content, dict) or not (
        NEEDED.keys() <= content.keys() <= FIELDS.keys()
    ):
        further = ", ".join(sorted(FIELDS.keys() - NEEDED.keys()))
        raise ValueError(
            f"a search has {', '.join(sorted(NEEDED))}, and any of {further}"
        )
    # A key without a value says nothing.
    given = {k: v for k, v in content.items() if k in NEEDED or v is not None}
    return checked(str(path), given, FIELDS)
