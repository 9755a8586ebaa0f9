"""Compiled oracles: a class of fields and formulas becomes a type that numba knows.

A problem's kernel module has a class deriving from `Inner` for g and one from `Outer`
for f. It names its arrays (`fields`), makes them (`arrays`) and has a method for each
derivative of the contract (`benchmark_bilevel.oracles`); nothing is to be registered.

Every plain method is compiled, reaches the fields and the other methods through `self`,
and is inherited like any method of Python's; class methods run in Python. The module's
``make_inner`` and ``make_outer`` are the `make` of the two classes.
`problems/template_kernels.py` is one to copy.
"""

import numpy as np
from numba.core.errors import TypingError
from numba.core.extending import overload_attribute

from benchmark_bilevel.compiled.products import empty_like, prefetch
from benchmark_bilevel.methods.directions import assign, descend, zeros_like
from benchmark_bilevel.methods.scaling import scaled_descend
from benchmark_bilevel.methods.variance_reduction import empty_memory
from benchmark_bilevel.oracles import OUTER_GRADIENTS
from benchmark_bilevel.oracles.declaration import by_types, register
from benchmark_bilevel.oracles.samplers import (
    fill_normal,
    next_block,
    random_below,
)


class Oracle:
    """What the compiled oracles of all problems share: fields, drawing, counting.

    Attributes
    ----------
    fields : dict
        The names of the fields, each with its shape and meaning; those of the bases
        need not be repeated.
    inlined : bool
        Whether the methods are compiled into whatever calls them, as pays where a block
        takes a microsecond or less; else the code of a solver has each of them once.
    prefetches : bool
        Whether `draw` asks for the block (of the field `a`) after the one that it
        returns. It saves an eighth of an iteration on covtype; smaller blocks (IJCNN1)
        are near anyway, and larger ones (MNIST) would drive out what is in use.
    """

    fields = {
        "order": "(n_blocks,), the sampler's permutation",
        "cursor": "(2,), its state",
        "replace": "whether it draws with replacement",
        "counts": "evaluations, in the order of `COUNTS`",
        "sizes": "(n_blocks,), samples of a block",
        "weight": "factor of a block's sum, see `Partition`",
    }
    inlined = True
    prefetches = False

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        cls.fields = {
            name: text
            for base in reversed(cls.__mro__)
            for name, text in vars(base).get("fields", {}).items()
        }
        register(cls)

    # --- in Python ------------------------------------------------------------------

    @classmethod
    def samples(cls, problem):
        """The samples of the loss."""
        raise NotImplementedError

    @classmethod
    def arrays(cls, problem, samples, partition, dtype):
        """Dict of the fields that a class adds; numbers are of type `dtype` as well.

        Parameters
        ----------
        problem : Problem
        samples : tuple of arrays
            ``inner_samples`` or ``outer_samples`` of the problem.
        partition : Partition
            Its `pack` cuts an array into blocks.
        dtype : str
        """
        return {}

    @classmethod
    def make(cls, problem, partition, sampler, counts, dtype):
        """The oracle of `problem`: what a kernel module calls make_inner, make_outer."""
        values = {
            **sampler._asdict(),
            "counts": counts,
            "sizes": partition.sizes,
            "weight": np.dtype(dtype).type(partition.weight),
            **cls.arrays(problem, cls.samples(problem), partition, dtype),
        }
        if values.keys() != cls.fields.keys():
            odd = sorted(values.keys() ^ cls.fields.keys())
            raise TypeError(
                f"{cls.__name__}: `fields` and `arrays` differ in {', '.join(odd)}."
            )
        oracle = cls._build(*(values[name] for name in cls.fields))
        oracle.arrays, oracle.n_blocks = values, partition.n_blocks
        return oracle

    # --- compiled -------------------------------------------------------------------

    @by_types
    def draw(self):
        if not self.loss.prefetches:
            return lambda self: next_block(self.order, self.cursor, self.replace)

        def draw(self):
            i = next_block(self.order, self.cursor, self.replace)
            following = np.int64(self.cursor[0])
            if not self.replace and following < self.order.size:
                prefetch(self.a, self.order[following])
            return i

        return draw

    def uniform(self, n):
        return random_below(self.cursor, n)

    def normal(self, y):
        result = empty_like(y)
        fill_normal(self.cursor, result)
        return result

    def count(self, kind, i, times=1):
        self.counts[kind] += times * self.sizes[i]


register(Oracle)


@overload_attribute(Oracle.Type, "n_blocks")
def _n_blocks(self):
    return lambda self: self.order.size


class Inner(Oracle):
    """An inner oracle; by default each of its directions is sampled, and dense."""

    @classmethod
    def samples(cls, problem):
        return problem.inner_samples

    @classmethod
    def memory(cls, oracle, z, x):
        return tuple(empty_memory(y, oracle.n_blocks) for y in (z, z, x))

    # What may be written out where the parts have work in common.

    def hessian(self, z, x, i):
        matrix, unit = np.empty((z.size, z.size), z.dtype), zeros_like(z)
        for k in range(z.size):
            unit[k] = 1
            assign(matrix[k], self.hvp(z, x, unit, i))
            unit[k] = 0
        return matrix

    def cross_matrix(self, z, x, i):
        matrix, unit = np.empty((x.size, z.size), z.dtype), zeros_like(z)
        column = zeros_like(x)
        for k in range(z.size):
            unit[k] = 1
            assign(column, self.cross(z, x, unit, i))
            unit[k] = 0
            for j in range(x.size):
                matrix[j, k] = column[j]
        return matrix

    def grads(self, z, x, i):
        return self.grad(z, x, i), self.grad_x(z, x, i)

    def grad_hvp_cross(self, z, x, v, i):
        return self.grad(z, x, i), self.hvp(z, x, v, i), self.cross(z, x, v, i)


class Outer(Oracle):
    """An outer oracle; by default f does not depend on x, and x is free."""

    @classmethod
    def samples(cls, problem):
        return problem.outer_samples

    @classmethod
    def memory(cls, oracle, z, x):
        return empty_memory(z, oracle.n_blocks), None

    def grad_x(self, z, x, i):
        """None: f does not depend on x."""
        self.count(OUTER_GRADIENTS, i)

    def descend(self, x, a, d, e=None):
        descend(x, a, d, e)

    @by_types
    def scaled_descend(self, x, step, d, a, floor):
        if self.loss.descend is not Outer.descend:
            raise TypingError(
                f"{self.loss.__name__} has its own `descend`, with a projection: it "
                "needs its own `scaled_descend`, in the metric of the steps."
            )

        def free(self, x, step, d, a, floor):
            scaled_descend(x, step, d, a, floor)

        return free
