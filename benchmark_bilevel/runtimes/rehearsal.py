"""Three iterations in plain Python, along zero directions, before numba compiles it.

Compiled code checks no bounds: a variable of a wrong length reads and writes foreign
memory. And Python says where a name is wrong, in the line where it stands.
"""

import traceback

import numpy as np

from benchmark_bilevel.faults import ORACLE_NAMES, is_users, location
from benchmark_bilevel.methods.schedules import Steps
from benchmark_bilevel.methods.variance_reduction import empty_memory
from benchmark_bilevel.notices import Fault
from benchmark_bilevel.runtimes.gate import check_state

N_BLOCKS = 2
LATE = 10**5  # an iteration after more than there are blocks
# Calls of an oracle after which a rehearsal ends: some methods have long inner loops,
# and some problems millions of variables.
MIN_CALLS, MAX_CALLS, MAX_NUMBERS = 2, 300, 10**7


class _Enough(Exception):
    """The rehearsal cannot or need not go on; numba and the run see the rest."""


def rehearse(runtime):
    """Raise what is wrong with the solver of a `Runtime`, if three iterations show it."""
    z, x = (runtime._variable(y) for y in runtime.problem.initial_point())
    inner, outer = _Inner(z, x, runtime.counts), _Outer(z, x, runtime.counts)
    inner.refers = runtime.problem.separate_regulariser
    solver = runtime.solver
    try:
        with np.errstate(all="ignore"):
            own = z.copy().view(_Watched), x.copy()
            state = solver.init(inner, outer, *own, *runtime.init_options)
            check_state(solver, state, z, x)
            steps = Steps(*runtime.schedule[:3])
            for t in (0, 1, LATE):  # the first one is often special
                given = inner, outer, state, steps, t, *runtime.step_options
                if solver.step(*given) is not None:
                    raise Fault(
                        "step returns something, and nothing takes it: it has to change "
                        "the state's variables in place",
                        location(solver.step),
                    )
    except Fault:
        raise
    except (NameError, AttributeError, TypeError, IndexError) as error:
        # The Python text of a verb may be for tensors only.
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        if is_users(frame.f_code.co_filename) or frame.f_globals is globals():
            raise
    except ValueError as error:
        if any(word in str(error) for word in ("broadcast", "mismatch", "unpack")):
            raise
    # Of numbers that come of zeros, and of what works compiled only, numba is the judge.
    except Exception:
        pass


class _Watched(np.ndarray):
    """A variable like z that counts its changes in place, as tensors do."""

    _version = 0

    def __setitem__(self, *arguments):
        super().__setitem__(*arguments)
        self._version += 1

    def __isub__(self, other):
        self._version += 1
        return super().__isub__(other)

    def __iadd__(self, other):
        self._version += 1
        return super().__iadd__(other)

    def __imul__(self, other):
        self._version += 1
        return super().__imul__(other)


class _Block(int):
    """The index of a block, with the name of the oracle that has drawn it."""

    drawn_by = None


class _Oracle:
    """An oracle whose directions are zero, and which looks at what it gets."""

    n_blocks = N_BLOCKS

    def __init__(self, z, x, counts):
        self._z, self._x = z, x
        self.counts = np.zeros_like(counts)
        affordable = MAX_NUMBERS // (z.size + x.size)
        self._calls_left = min(MAX_CALLS, MIN_CALLS + affordable)

    def draw(self):
        self._calls_left -= 1
        block = _Block(self._calls_left % N_BLOCKS)
        block.drawn_by = self.name
        return block

    def uniform(self, n):
        return 0

    def normal(self, y):
        return np.zeros_like(y)

    def value(self, z, x, i):
        self._look("value", i, z=z, x=x)
        return 0.0

    def __getattr__(self, name):
        if name in ORACLE_NAMES:
            raise _Enough
        raise AttributeError(f"the {self.name} oracle has no {name!r}")

    def _look(self, method, i=0, **given):
        """Raise `Fault` unless block and variables `given` are what they have to be."""
        self._calls_left -= 1
        if self._calls_left < 0:
            raise _Enough
        if getattr(i, "drawn_by", None) not in (None, self.name):
            raise Fault(
                f"{self.name}.{method} gets a block that {i.drawn_by}.draw() gave; its "
                f"own are those of {self.name}.draw()"
            )
        if not 0 <= i < N_BLOCKS:
            raise Fault(
                f"{self.name}.{method} gets block {i}, and there is none: the indices are "
                f"0 … {self.name}.n_blocks − 1, as {self.name}.draw() gives them"
            )
        for name, y in given.items():
            of_x = name in ("x", "d", "e", "a")
            shape = (self._x if of_x else self._z).shape
            if np.shape(y) != shape:
                raise Fault(
                    f"{self.name}.{method} gets {name} of shape {np.shape(y)}; it is a "
                    f"vector like {'x' if of_x else 'z'}, of shape {shape}"
                )


class _Inner(_Oracle):
    name = "inner"
    refers = False  # whether ∇z g refers to z, and H v to v; see `require_unmoved`

    def _direction(self, point):
        direction = np.zeros_like(self._z).view(_Watched)
        if self.refers and isinstance(point, _Watched):
            direction.taken_at = point, point._version
        return direction

    def grad(self, z, x, i):
        self._look("grad", i, z=z, x=x)
        return self._direction(z)

    def grad_x(self, z, x, i):
        self._look("grad_x", i, z=z, x=x)
        return np.zeros_like(self._x)

    def grads(self, z, x, i):
        self._look("grads", i, z=z, x=x)
        return self._direction(z), np.zeros_like(self._x)

    def hvp(self, z, x, v, i):
        self._look("hvp", i, z=z, x=x, v=v)
        return self._direction(v)

    def cross(self, z, x, v, i):
        self._look("cross", i, z=z, x=x, v=v)
        return np.zeros_like(self._x)

    def grad_hvp_cross(self, z, x, v, i):
        self._look("grad_hvp_cross", i, z=z, x=x, v=v)
        return self._direction(z), self._direction(v), np.zeros_like(self._x)

    def memory(self, z, x):
        self._look("memory", z=z, x=x)
        return tuple(empty_memory(y, N_BLOCKS) for y in (z, z, x))


class _Outer(_Oracle):
    name = "outer"

    def grad(self, z, x, i):
        self._look("grad", i, z=z, x=x)
        return np.zeros_like(self._z), np.zeros_like(self._x)

    def grad_x(self, z, x, i):
        self._look("grad_x", i, z=z, x=x)
        return np.zeros_like(self._x)

    def memory(self, z, x):
        self._look("memory", z=z, x=x)
        return empty_memory(z, N_BLOCKS), empty_memory(x, N_BLOCKS)

    def descend(self, x, a, d, e=None):
        directions = {"d": d, "e": e}
        given = {k: y for k, y in directions.items() if y is not None}
        self._look("descend", x=x, **given)

    def scaled_descend(self, x, step, d, a, floor):
        directions = {"d": d, "a": a}
        given = {k: y for k, y in directions.items() if y is not None}
        self._look("scaled_descend", x=x, **given)
