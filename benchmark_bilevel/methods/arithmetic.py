"""What numba says of Python's operators on directions that are not arrays.

(``y += d`` ends within numba before it asks: ``'NoneType' object has no attribute
'args'``.)
"""

import operator

from numba.core.errors import TypingError
from numba.core.extending import overload

from benchmark_bilevel.methods.directions import KINDS, is_kind


def _refuse(d, e):
    for direction in (d, e):
        if is_kind(direction, *KINDS):
            raise TypingError(
                f"A direction of type {direction.instance_class.__name__} is no array: "
                "move a variable by descend(y, -a, d), add by add(d, e), multiply by "
                "scale(d, a), make it a variable by as_variable(d, y)."
            )


for _operator in (operator.add, operator.sub, operator.mul, operator.truediv):
    overload(_operator)(_refuse)
