"""What the text of a solver's step says about its variables."""

import ast
import inspect


class Text:
    """Names in the text of `step`, for messages that point at a line.

    Attributes
    ----------
    names : tuple
        Of the variables, in the order of the state and nested like it, where the text
        unpacks it as ``z, x, v = state``.
    rebound : dict
        For each of these names that the text binds to something new: where and what to
        write instead.
    """

    def __init__(self, step):
        lines, self._first = inspect.getsourcelines(step)
        self._lines = [line.strip() for line in lines]
        function = _parsed("".join(lines))
        state = function.args.args[2].arg
        self.names, self.rebound = (), {}
        bindings = sorted(_bindings(function), key=lambda binding: binding[0].lineno)
        unpacked = set()
        for target, value in bindings:
            if _mentions(value, state):
                unpacked |= set(_stored(target))
                if isinstance(value, ast.Name) and isinstance(target, ast.Tuple):
                    self.names = _tree(target)
                continue
            for name in unpacked & set(_stored(target)):
                line = self._at(target.lineno)
                self.rebound.setdefault(
                    name,
                    f"{name} never changes: {line} binds the name to a new array, and "
                    "the next iteration starts without it (no warm start). Change it in "
                    f"place: descend({name}, a, d), assign({name}, d), {name} -= a * d",
                )

    def line_with(self, word):
        """The first line with `word`, in words; "step" if there is none."""
        lines = (k for k, line in enumerate(self._lines, start=1) if word in line)
        return next((self._at(k) for k in lines), "step")

    def _at(self, k):
        return f"line {self._first + k - 1}, `{self._lines[k - 1]}`,"


def _parsed(source):
    """The function with this text, whatever its indentation and that of its comments."""
    if not source[0].isspace():
        return ast.parse(source).body[0]
    function = ast.parse(f"if 1:\n{source}").body[0].body[0]
    return ast.increment_lineno(function, -1)


def _bindings(function):
    """Pairs (target, value) of all that binds names; += changes arrays in place."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            yield from ((target, node.value) for target in node.targets)
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
            yield node.target, node.value
        elif isinstance(node, ast.For):
            yield node.target, node.iter


def _stored(target):
    """Names that an assignment to `target` binds; ``z[:] = …`` binds none."""
    for node in ast.walk(target):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def _mentions(value, name):
    return any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(value))


def _tree(target):
    return tuple(
        _tree(part) if isinstance(part, ast.Tuple) else getattr(part, "id", "")
        for part in target.elts
    )
