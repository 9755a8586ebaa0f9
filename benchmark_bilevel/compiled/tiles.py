"""`dots` and `combine` of `products` in vector instructions, a tile at a time.

Both go through the block `a` in tiles of 4 vectors by up to 5 classes, whose 20 sums
stay in registers. Loops left to LLVM, unrolled over 4 rows of `a`, use half the width
of the registers and pass through memory for every class: the products of a SOBA
iteration in float32 take them 1.4 times as long on 22 x 64 with one class, 1.7 times
on 54 x 64 with 7 classes, and 1.9 times on 64 x 784 with 10.
"""

import functools

from llvmlite import ir
from numba import errors, types
from numba.core import cgutils
from numba.extending import intrinsic

from benchmark_bilevel.compiled import target

_AVX512 = target.has("avx512f")
BYTES = 64 if _AVX512 else 32  # of a vector; LLVM makes two of it without AVX
CLASSES = 5 if _AVX512 else 2  # there are 32 registers, or 16
VECTORS = 4
INT = ir.IntType(64)
LANE = ir.IntType(32)


def integer(value):
    return ir.Constant(INT, value)


def _lanes(values):
    return ir.Constant(ir.VectorType(LANE, len(values)), list(values))


def _row(builder, data, index, length):
    return builder.gep(data, [builder.mul(index, length)])


def _splat(builder, value, count):
    vector = ir.Constant(ir.VectorType(value.type, count), ir.Undefined)
    vector = builder.insert_element(vector, value, ir.Constant(LANE, 0))
    return builder.shuffle_vector(vector, vector, _lanes([0] * count))


def _first_lanes(builder, number, count):
    """Mask of `count` lanes that selects the first `number`."""
    lanes = ir.Constant(ir.VectorType(INT, count), list(range(count)))
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
    place = pointer, ir.Constant(LANE, size), mask
    if store is None:
        zero = ir.Constant(vector, None)
        return _call(builder, f"llvm.masked.load.{suffix}", vector, *place, zero)
    return _call(builder, f"llvm.masked.store.{suffix}", ir.VoidType(), store, *place)


def prefetch_line(builder, data, index):
    byte = ir.IntType(8).as_pointer()
    address = builder.bitcast(builder.gep(data, [index]), byte)
    read_into_first_level = [ir.Constant(LANE, flag) for flag in (0, 3, 1)]
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
    a_rows = [
        _row(builder, a, builder.add(i, integer(j)), columns) for j in range(height)
    ]
    w_rows = [
        _row(builder, w, builder.add(k, integer(c)), columns) for c in range(classes)
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
        builder.icmp_signed(">", columns, integer(8 * vector.count)),
        builder.icmp_signed("<", builder.add(i, integer(height)), rows),
    )
    ahead = builder.select(far, builder.mul(columns, integer(height)), integer(0))
    rest = builder.srem(columns, integer(vector.count))
    full = builder.sub(columns, rest)
    loop = cgutils.for_range_slice(
        builder, integer(0), full, integer(vector.count), INT
    )
    with loop as (column, _):
        add(column)
        for row in a_rows if classes > 1 else ():
            prefetch_line(builder, row, builder.add(column, ahead))
    with builder.if_then(builder.icmp_signed(">", rest, integer(0))):
        add(full, _first_lanes(builder, rest, vector.count))
    for c, totals in enumerate(sums):
        total = _add_lanes(builder, [builder.load(total) for total in totals])
        row = _row(builder, out, builder.add(k, integer(c)), rows)
        _access(builder, row, i, total.type, store=total)


def _combine_tile(builder, vector, shape, data, j, k, classes, width):
    """out[k : k + classes] of `combine`, `width` vectors from j; one may overhang."""
    a, r, out = data
    rows, columns = shape
    mask = None
    if width == 1:
        mask = _first_lanes(builder, builder.sub(columns, j), vector.count)
    offsets = [builder.add(j, integer(v * vector.count)) for v in range(width)]
    r_rows = [
        _row(builder, r, builder.add(k, integer(c)), rows) for c in range(classes)
    ]
    sums = _zeros(builder, vector, classes, width)
    with cgutils.for_range(builder, rows, intp=INT) as loop:
        row = _row(builder, a, loop.index, columns)
        xs = [_access(builder, row, offset, vector, mask) for offset in offsets]
        for r_row, totals in zip(r_rows, sums, strict=True):
            y = builder.load(builder.gep(r_row, [loop.index]))
            y = _splat(builder, y, vector.count)
            for total, x in zip(totals, xs, strict=True):
                _add_product(builder, total, x, y)
    for c, totals in enumerate(sums):
        row = _row(builder, out, builder.add(k, integer(c)), columns)
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
            vector = ir.VectorType(element, 8 * BYTES // a.dtype.bitwidth)
            shape = cgutils.unpack_tuple(builder, arrays[0].shape)
            data = [array.data for array in arrays]
            position, k, classes = args[3:]
            for number in range(1, CLASSES + 1):
                with builder.if_then(
                    builder.icmp_signed("==", classes, integer(number))
                ):
                    emit(builder, vector, shape, data, position, k, number)
            return context.get_dummy_value()

        return types.void(a, factor, out, position, k, classes), codegen

    return tile


dots_rows = _tile(functools.partial(_dots_tile, height=VECTORS))
dots_row = _tile(functools.partial(_dots_tile, height=1))
combine_columns = _tile(functools.partial(_combine_tile, width=VECTORS))
combine_column = _tile(functools.partial(_combine_tile, width=1))
