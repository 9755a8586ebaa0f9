"""Products with a block of samples, and the memory around them.

Everything is generic over float32 and float64 (never both in one call), runs on one
thread and gives the same bits for the same input. Arrays are C-contiguous; those that
start on a cache line are faster (`samplers.aligned_zeros`).
"""

import functools

from llvmlite import ir
from numba import errors, njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np import arrayobj

from benchmark_bilevel.compiled import target
from benchmark_bilevel.fingerprint import FAST

# dots and combine, in vector instructions
#
# Both go through the block `a` in tiles of 4 vectors by up to 5 classes, whose 20 sums
# stay in registers. Loops left to LLVM, unrolled over 4 rows of `a`, use half the width
# of the registers and pass through memory for every class: the products of a SOBA
# iteration in float32 take them 1.4 times as long on 22 x 64 with one class, 1.7 times
# on 54 x 64 with 7 classes, and 1.9 times on 64 x 784 with 10.

_AVX512 = target.has("avx512f")
_BYTES = 64 if _AVX512 else 32  # of a vector; LLVM makes two of it without AVX
_CLASSES = 5 if _AVX512 else 2  # there are 32 registers, or 16
_VECTORS = 4
_INT = ir.IntType(64)
_LANE = ir.IntType(32)


def _int(value):
    return ir.Constant(_INT, value)


def _lanes(values):
    return ir.Constant(ir.VectorType(_LANE, len(values)), list(values))


def _row(builder, data, index, length):
    return builder.gep(data, [builder.mul(index, length)])


def _splat(builder, value, count):
    vector = ir.Constant(ir.VectorType(value.type, count), ir.Undefined)
    vector = builder.insert_element(vector, value, ir.Constant(_LANE, 0))
    return builder.shuffle_vector(vector, vector, _lanes([0] * count))


def _first_lanes(builder, number, count):
    """Mask of `count` lanes that selects the first `number`."""
    lanes = ir.Constant(ir.VectorType(_INT, count), list(range(count)))
    return builder.icmp_signed("<", lanes, _splat(builder, number, count))


def _call(builder, name, result, *args):
    kind = ir.FunctionType(result, [arg.type for arg in args])
    return builder.call(
        cgutils.get_or_insert_function(builder.module, kind, name), args
    )


def _access(builder, data, index, vector, mask=None, store=None):
    """Load the vector at data[index], or store one there; of the lanes in `mask`."""
    pointer = builder.bitcast(builder.gep(data, [index]), vector.as_pointer())
    size = 4 if isinstance(vector.element, ir.FloatType) else 8
    if mask is None and store is None:
        return builder.load(pointer, align=size)
    if mask is None:
        return builder.store(store, pointer, align=size)
    suffix = f"v{vector.count}f{8 * size}.p0"
    place = pointer, ir.Constant(_LANE, size), mask
    if store is None:
        zero = ir.Constant(vector, None)
        return _call(builder, f"llvm.masked.load.{suffix}", vector, *place, zero)
    return _call(builder, f"llvm.masked.store.{suffix}", ir.VoidType(), store, *place)


def _prefetch(builder, data, index):
    byte = ir.IntType(8).as_pointer()
    address = builder.bitcast(builder.gep(data, [index]), byte)
    read_into_first_level = [ir.Constant(_LANE, flag) for flag in (0, 3, 1)]
    _call(builder, "llvm.prefetch.p0", ir.VoidType(), address, *read_into_first_level)


def _zeros(builder, vector, classes, count):
    """Variables of a tile, zero: `count` vectors for each class."""
    zero = ir.Constant(vector, None)
    return [
        [cgutils.alloca_once_value(builder, zero) for _ in range(count)]
        for _ in range(classes)
    ]


def _add_product(builder, total, x, y):
    product = builder.fmul(x, y, flags=["contract"])
    value = builder.fadd(product, builder.load(total), flags=["contract"])
    builder.store(value, total)


def _add_lanes(builder, vectors):
    """Vector of the sums over the lanes of each of the vectors, one or four.

    Every step adds the halves of each sum and packs two vectors into one, by a blend
    and a shuffle. `dots` on 54 x 64 in float32 takes 0.7 times as long as with one
    reduction a vector.
    """
    count, lanes = len(vectors), vectors[0].type.count
    width = lanes
    while width > 1:
        half = len(vectors) // 2
        pairs = zip(vectors[:half] or vectors, vectors[half:], strict=True)
        second = lanes if half else 0
        stay, move = [], []
        for start in range(0, lanes, width):
            left = range(start, start + width // 2)
            right = range(start + width // 2, start + width)
            stay += [*left, *(second + lane for lane in right)]
            move += [*right, *(second + lane for lane in left)]
        vectors = [
            builder.fadd(
                builder.shuffle_vector(x, y, _lanes(stay)),
                builder.shuffle_vector(x, y, _lanes(move)),
            )
            for x, y in pairs
        ]
        width //= 2
    return builder.shuffle_vector(*vectors * 2, _lanes(range(0, lanes, lanes // count)))


def _dots_tile(builder, vector, shape, data, i, k, classes, height):
    """out[k : k + classes, i : i + height] of `dots`."""
    a, w, out = data
    rows, columns = shape
    a_rows = [_row(builder, a, builder.add(i, _int(j)), columns) for j in range(height)]
    w_rows = [
        _row(builder, w, builder.add(k, _int(c)), columns) for c in range(classes)
    ]
    sums = _zeros(builder, vector, classes, height)

    def add(column, mask=None):
        xs = [_access(builder, row, column, vector, mask) for row in a_rows]
        for row, totals in zip(w_rows, sums, strict=True):
            y = _access(builder, row, column, vector, mask)
            for total, x in zip(totals, xs, strict=True):
                _add_product(builder, total, x, y)

    # Fetch the next tile while computing this one, if the rows are long: saves 12 % of
    # the products of a SOBA iteration on 64 x 784 in float32, costs 2 % on 54 x 64.
    # Otherwise fetch what is there: cheaper than a branch.
    far = builder.and_(
        builder.icmp_signed(">", columns, _int(8 * vector.count)),
        builder.icmp_signed("<", builder.add(i, _int(height)), rows),
    )
    ahead = builder.select(far, builder.mul(columns, _int(height)), _int(0))
    rest = builder.srem(columns, _int(vector.count))
    full = builder.sub(columns, rest)
    loop = cgutils.for_range_slice(builder, _int(0), full, _int(vector.count), _INT)
    with loop as (column, _):
        add(column)
        for row in a_rows if classes > 1 else ():
            _prefetch(builder, row, builder.add(column, ahead))
    with builder.if_then(builder.icmp_signed(">", rest, _int(0))):
        add(full, _first_lanes(builder, rest, vector.count))
    for c, totals in enumerate(sums):
        total = _add_lanes(builder, [builder.load(total) for total in totals])
        row = _row(builder, out, builder.add(k, _int(c)), rows)
        _access(builder, row, i, total.type, store=total)


def _combine_tile(builder, vector, shape, data, j, k, classes, width):
    """out[k : k + classes] of `combine`, `width` vectors from j; one may overhang."""
    a, r, out = data
    rows, columns = shape
    mask = None
    if width == 1:
        mask = _first_lanes(builder, builder.sub(columns, j), vector.count)
    offsets = [builder.add(j, _int(v * vector.count)) for v in range(width)]
    r_rows = [_row(builder, r, builder.add(k, _int(c)), rows) for c in range(classes)]
    sums = _zeros(builder, vector, classes, width)
    with cgutils.for_range(builder, rows, intp=_INT) as loop:
        row = _row(builder, a, loop.index, columns)
        xs = [_access(builder, row, offset, vector, mask) for offset in offsets]
        for r_row, totals in zip(r_rows, sums, strict=True):
            y = builder.load(builder.gep(r_row, [loop.index]))
            y = _splat(builder, y, vector.count)
            for total, x in zip(totals, xs, strict=True):
                _add_product(builder, total, x, y)
    for c, totals in enumerate(sums):
        row = _row(builder, out, builder.add(k, _int(c)), columns)
        for offset, total in zip(offsets, totals, strict=True):
            _access(builder, row, offset, vector, mask, store=builder.load(total))


def contiguous(*arrays):
    """Refuse numba types other than contiguous arrays of one floating dtype."""
    for array in arrays:
        if not isinstance(array, types.Array) or array.layout != "C":
            raise errors.TypingError(f"expected a C-contiguous array, not {array}")
        if not isinstance(array.dtype, types.Float) or array.dtype != arrays[0].dtype:
            raise errors.TypingError(f"dtypes {arrays[0].dtype} and {array.dtype}")


def _tile(emit):
    """Function tile(a, factor, out, position, k, classes) of one of the above."""

    @intrinsic
    def tile(typingctx, a, factor, out, position, k, classes):
        contiguous(a, factor, out)

        def codegen(context, builder, signature, args):
            arrays = [
                context.make_array(kind)(context, builder, value)
                for kind, value in zip(signature.args[:3], args[:3], strict=True)
            ]
            element = context.get_value_type(a.dtype)
            vector = ir.VectorType(element, 8 * _BYTES // a.dtype.bitwidth)
            shape = cgutils.unpack_tuple(builder, arrays[0].shape)
            data = [array.data for array in arrays]
            position, k, classes = args[3:]
            for number in range(1, _CLASSES + 1):
                with builder.if_then(builder.icmp_signed("==", classes, _int(number))):
                    emit(builder, vector, shape, data, position, k, number)
            return context.get_dummy_value()

        return types.void(a, factor, out, position, k, classes), codegen

    return tile


_dots_rows = _tile(functools.partial(_dots_tile, height=_VECTORS))
_dots_row = _tile(functools.partial(_dots_tile, height=1))
_combine_columns = _tile(functools.partial(_combine_tile, width=_VECTORS))
_combine_column = _tile(functools.partial(_combine_tile, width=1))


@intrinsic
def _vector_size(typingctx, a):
    """Numbers in a vector of a's dtype, as a constant (a.itemsize is a variable)."""
    size = 8 * _BYTES // a.dtype.bitwidth
    return types.intp(a), lambda *_: _int(size)


@njit(**FAST)
def _next_classes(left):
    """Classes of the next tile: 7 are 4 + 3 and 10 are 5 + 5."""
    return left if left <= _CLASSES else min(_CLASSES, (left + 1) // 2)


@njit(**FAST)
def dots(a, w, out):
    """Products with the rows: out[k, i] = sum_l a[i, l] w[k, l].

    Shapes: a (rows, columns), w (classes, columns), out (classes, rows); or, for one
    class, w (columns,) and out (rows,). `out` must not overlap the others.
    """
    rows = a.shape[0]
    classes = 1 if w.ndim == 1 else w.shape[0]
    height = _VECTORS if rows >= _VECTORS else 1
    for start in range(0, rows, height):
        i = min(start, rows - height)  # the last tile overlaps the one before
        k = 0
        while k < classes:
            number = _next_classes(classes - k)
            if height == 1:
                _dots_row(a, w, out, i, k, number)
            else:
                _dots_rows(a, w, out, i, k, number)
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
    width = _VECTORS * lanes if columns >= _VECTORS * lanes else lanes
    for start in range(0, columns, width):
        k = 0
        while k < classes:
            number = _next_classes(classes - k)
            if width == lanes:
                _combine_column(a, r, out, start, k, number)
            else:  # the last tile overlaps the one before
                _combine_columns(a, r, out, min(start, columns - width), k, number)
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
        itemsize = _int(context.get_abi_sizeof(context.get_data_type(y.dtype)))
        size = builder.mul(source.nitems, itemsize)
        alignment = ir.Constant(_LANE, 64)
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
        with cgutils.for_range_slice(builder, _int(0), size, _int(64)) as (offset, _):
            _prefetch(builder, data, builder.add(start, offset))
        return context.get_dummy_value()

    return types.void(blocks, types.intp), codegen
