"""Products with a block of samples, and the memory around them.

Everything is generic over float32 and float64 (never both in one call), runs on one
thread and gives the same bits for the same input. Arrays are C-contiguous; those that
start on a cache line are faster (`samplers.aligned_zeros`).
"""

from llvmlite import ir
from numba import errors, njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np import arrayobj

from benchmark_bilevel.compiled.tiles import (
    BYTES,
    CLASSES,
    LANE,
    VECTORS,
    combine_column,
    combine_columns,
    dots_row,
    dots_rows,
    integer,
    prefetch_line,
)
from benchmark_bilevel.fingerprint import FAST


@intrinsic
def _vector_size(typingctx, a):
    """Numbers in a vector of a's dtype, as a constant (a.itemsize is a variable)."""
    size = 8 * BYTES // a.dtype.bitwidth
    return types.intp(a), lambda *_: integer(size)


@njit(**FAST)
def _next_classes(left):
    """Classes of the next tile: 7 are 4 + 3 and 10 are 5 + 5."""
    return left if left <= CLASSES else min(CLASSES, (left + 1) // 2)


@njit(**FAST)
def dots(a, w, out):
    """Products with the rows: out[k, i] = sum_l a[i, l] w[k, l].

    Shapes: a (rows, columns), w (classes, columns), out (classes, rows); or, for one
    class, w (columns,) and out (rows,). `out` must not overlap the others.
    """
    rows = a.shape[0]
    classes = 1 if w.ndim == 1 else w.shape[0]
    height = VECTORS if rows >= VECTORS else 1
    for start in range(0, rows, height):
        i = min(start, rows - height)  # the last tile overlaps the one before
        k = 0
        while k < classes:
            number = _next_classes(classes - k)
            if height == 1:
                dots_row(a, w, out, i, k, number)
            else:
                dots_rows(a, w, out, i, k, number)
            k += number


@njit(**FAST)
def combine(a, r, out):
    """Combination of the rows: out[k, l] = sum_i r[k, i] a[i, l].

    Shapes: a (rows, columns), r (classes, rows), out (classes, columns); or, for one
    class, r (rows,) and out (columns,). `out` must not overlap the others.
    """
    columns = a.shape[1]
    classes = 1 if r.ndim == 1 else r.shape[0]
    lanes = _vector_size(a)
    width = VECTORS * lanes if columns >= VECTORS * lanes else lanes
    for start in range(0, columns, width):
        k = 0
        while k < classes:
            number = _next_classes(classes - k)
            if width == lanes:
                combine_column(a, r, out, start, k, number)
            else:  # the last tile overlaps the one before
                combine_columns(a, r, out, min(start, columns - width), k, number)
            k += number


# memory


@intrinsic
def empty_like(typingctx, y):
    """An uninitialised array like the flat array `y`, on a cache line.

    NumPy's `empty_like` can raise, and a way out of the loop keeps numba from dropping
    the counting of references on the way in: SOBA on IJCNN1 takes 1.3 times as long.
    This one does not look whether there was memory left.
    """
    if not (isinstance(y, types.Array) and y.ndim == 1 and y.layout == "C"):
        raise errors.TypingError("empty_like takes a flat contiguous array")
    kind = types.Array(y.dtype, 1, "C")

    def codegen(context, builder, signature, args):
        source = arrayobj.make_array(y)(context, builder, args[0])
        itemsize = integer(context.get_abi_sizeof(context.get_data_type(y.dtype)))
        size = builder.mul(source.nitems, itemsize)
        alignment = ir.Constant(LANE, 64)
        meminfo = context.nrt.meminfo_alloc_aligned_unchecked(builder, size, alignment)
        data = context.nrt.meminfo_data(builder, meminfo)
        result = arrayobj.make_array(kind)(context, builder)
        arrayobj.populate_array(
            result,
            data=builder.bitcast(data, result.data.type),
            shape=[source.nitems],
            strides=[itemsize],
            itemsize=itemsize,
            meminfo=meminfo,
        )
        return result._getvalue()

    return kind(y), codegen


@intrinsic
def prefetch(typingctx, blocks, i):
    """Ask for block i of the contiguous array `blocks` to be brought near, line by line."""

    def codegen(context, builder, signature, args):
        array = arrayobj.make_array(blocks)(context, builder, args[0])
        size = builder.extract_value(array.strides, 0)
        byte = ir.IntType(8).as_pointer()
        data = builder.bitcast(array.data, byte)
        start = builder.mul(args[1], size)
        with cgutils.for_range_slice(builder, integer(0), size, integer(64)) as (
            offset,
            _,
        ):
            prefetch_line(builder, data, builder.add(start, offset))
        return context.get_dummy_value()

    return types.void(blocks, types.intp), codegen
