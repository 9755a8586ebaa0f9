"""What a solver's class and its state have to look like, checked before it runs."""

import inspect
import reprlib

from benchmark_bilevel.faults import location, name_fault, nearest
from benchmark_bilevel.notices import Fault
from benchmark_bilevel.parameters import defaults

# The arguments that the runtime gives; those after them are the solver's parameters.
ARGUMENTS = {
    "init": ("inner", "outer", "z", "x"),
    "step": ("inner", "outer", "state", "steps", "t"),
}


def option_names(function, n_given):
    """Names of the parameters of a solver that its `function` asks for.

    They are the arguments after the `n_given` first ones, which the runtime gives.
    """
    return list(inspect.signature(function).parameters)[n_given:]


def own_options(solver, name):
    """`option_names` of the solver's function `name`, "init" or "step"."""
    return option_names(getattr(solver, name), len(ARGUMENTS[name]))


def fault_of(solver):
    """What is wrong with the class `solver` itself, in one line; None if nothing."""
    fault = name_fault(solver.name)
    if fault is not None:
        return fault
    if solver.sampling_strategy != "callback":
        return (
            f"sampling_strategy={solver.sampling_strategy!r} is for solvers that derive "
            "from benchopt's BaseSolver itself"
        )
    parameters = defaults(solver.parameters)
    reserved = {name for names in ARGUMENTS.values() for name in names}
    for name in parameters:
        if name in reserved:
            return (
                f"{name!r} is an argument that init or step gets anyway, so no "
                "parameter can be called so"
            )
        if hasattr(solver, name):
            return (
                f"the class has an attribute {name!r}, so no parameter can be called so"
            )
    for name, arguments in ARGUMENTS.items():
        function = inspect.getattr_static(solver, name, None)
        if function is None:
            return f"{solver.name} has no static method {name!r}"
        if not isinstance(function, staticmethod):
            return f"{_place(solver, name)}: {name} has to be a @staticmethod"
        plain = function.__func__
        if inspect.isgeneratorfunction(plain) or inspect.iscoroutinefunction(plain):
            return f"{_place(solver, name)}: {name} has to be without yield and async"
        given = inspect.signature(plain).parameters.values()
        is_starred = any(part.kind > part.POSITIONAL_OR_KEYWORD for part in given)
        mixed = [part.name for part in given][: len(arguments)]
        is_mixed = set(mixed) == set(arguments) and tuple(mixed) != arguments
        if is_starred or is_mixed or len(given) < len(arguments):
            expected = ", ".join(arguments)
            return (
                f"{_place(solver, name)}: the arguments of {name} are {expected}, …"
                + ", all without *" * is_starred
            )
        for option in own_options(solver, name):
            if option not in parameters:
                return (
                    f"{_place(solver, name)}: {name} asks for {option!r}, which "
                    f"`parameters` does not name{nearest(option, parameters)}"
                )
    return None


def check_state(solver, state, z, x):
    """Raise `Fault` unless `state` starts with variables like `z` and `x`."""
    place = location(solver.init)
    if not isinstance(state, tuple) or len(state) < 2:
        raise Fault(
            f"init returns {reprlib.repr(state)}, not a tuple that starts with z, x",
            place,
        )
    for name, found, expected in (("z", state[0], z), ("x", state[1], x)):
        kinds = [
            f"{str(y.dtype).removeprefix('torch.')} {tuple(y.shape)}"
            if hasattr(y, "dtype")
            else type(y).__name__
            for y in (found, expected)
        ]
        if kinds[0] != kinds[1]:
            raise Fault(f"init returns {name} as {kinds[0]}, not {kinds[1]}", place)
    variables = arrays(state)
    if len({*map(id, variables)}) < len(variables):
        raise Fault("init returns one variable twice: copy(z) makes another", place)


def arrays(state):
    """All floating arrays or tensors in nested tuples."""
    if isinstance(state, tuple):
        return [array for part in state for array in arrays(part)]
    return [state] if "float" in str(getattr(state, "dtype", "")) else []


def _place(solver, name):
    function = inspect.getattr_static(solver, name)
    return location(inspect.unwrap(getattr(function, "__func__", function)))
