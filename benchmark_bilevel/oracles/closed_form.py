"""What the compiled oracles of all problems share: fields, drawing, counting.

A compiled oracle is a numba ``structref``: unlike a ``jitclass`` it lets numba cache the
loops that take it on disk. A problem's kernel module declares for each of its losses a
type deriving from `InnerType` or `OuterType`, its fields (`FIELDS` first), and the
methods of the contract (`benchmark_bilevel.oracles`) with ``overload_method``.
"""

from functools import cache

import numpy as np
from numba.core import types
from numba.core.extending import overload_attribute, overload_method
from numba.experimental import structref

from benchmark_bilevel.compiled.products import prefetch
from benchmark_bilevel.fingerprint import INLINED, cached_njit
from benchmark_bilevel.methods.directions import descend
from benchmark_bilevel.methods.variance_reduction import empty_memory
from benchmark_bilevel.oracles.samplers import next_block, random_below

# order, cursor, replace: the sampler; counts, sizes: evaluations and samples of a block;
# weight: factor of a block's sum (`Partition`).
FIELDS = ["order", "cursor", "replace", "counts", "sizes", "weight"]


class OracleType(types.StructRef):
    """Numba type of every compiled oracle.

    Attributes
    ----------
    prefetches : bool
        Whether `draw` asks for the block after the one that it returns. It saves an
        eighth of an iteration on covtype; smaller blocks (IJCNN1) are near anyway, and
        larger ones (MNIST) would drive out what is in use.
    """

    prefetches = False


class InnerType(OracleType):
    """Numba type of the inner oracles."""


class OuterType(OracleType):
    """Numba type of the outer oracles."""


class Handle(structref.StructRefProxy):
    """Python's handle of a compiled oracle."""

    def __new__(cls, *fields):
        return structref.StructRefProxy.__new__(cls, *fields)

    @property
    def n_blocks(self):
        return _n_blocks_getter(type(self))(self)


class InnerHandle(Handle):
    """Handle of an inner oracle."""

    def memory(self, z, x):
        return tuple(empty_memory(y, self.n_blocks) for y in (z, z, x))


class OuterHandle(Handle):
    """Handle of an outer oracle whose loss does not depend on x."""

    def memory(self, z, x):
        return empty_memory(z, self.n_blocks), None


@cache
def _n_blocks_getter(handle):
    """Compiled function that reads the number of blocks of oracles of one class."""

    def get(oracle):
        return oracle.n_blocks

    get.__qualname__ = f"n_blocks-{handle.__module__}.{handle.__name__}"
    return cached_njit(get)


def constructor(handle):
    """Compiled function from the fields of an oracle to its `handle`.

    Numba caches it on disk, which it does not do with the handle's own constructor.
    """

    def build(*fields):
        return handle(*fields)

    build.__qualname__ = f"{handle.__module__}.{handle.__name__}"
    return cached_njit(build)


def common_fields(partition, sampler, counts, dtype):
    """Values of `FIELDS`."""
    return (*sampler, counts, partition.sizes, np.dtype(dtype).type(partition.weight))


def method(oracle_type, name):
    """Declare a method of the contract: ``overload_method`` with the suite's flags."""
    return overload_method(oracle_type, name, jit_options=INLINED)


@overload_attribute(OracleType, "n_blocks")
def _n_blocks(self):
    return lambda self: self.order.size


@method(OracleType, "draw")
def _draw(self):
    if not self.prefetches:
        return lambda self: next_block(self.order, self.cursor, self.replace)

    def draw(self):
        i = next_block(self.order, self.cursor, self.replace)
        following = np.int64(self.cursor[0])
        if not self.replace and following < self.order.size:
            prefetch(self.a, self.order[following])
        return i

    return draw


@method(OracleType, "uniform")
def _uniform(self, n):
    return lambda self, n: random_below(self.cursor, n)


@method(OracleType, "count")
def _count(self, kind, i):
    def count(self, kind, i):
        self.counts[kind] += self.sizes[i]

    return count


@method(OuterType, "descend")
def _descend(self, x, a, d, e=None):
    return lambda self, x, a, d, e=None: descend(x, a, d, e)
