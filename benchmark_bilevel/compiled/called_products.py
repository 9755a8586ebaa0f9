"""The products of `products` behind an address: compiled once a machine and dtype.

LLVM optimises a function anew in whatever it is linked into, and numba links it into
each oracle's method, each estimator and each solver. For blocks of several classes the
products are half of that work. A call through an address takes some nanoseconds, which
is nothing there; on IJCNN1, whose products are that short, it costs 6 to 9 %.
"""

from functools import cache

from llvmlite import ir
from numba import carray, errors, types
from numba.core import cgutils
from numba.extending import intrinsic

from benchmark_bilevel.compiled.products import combine, dots
from benchmark_bilevel.compiled.tiles import contiguous
from benchmark_bilevel.fingerprint import FAST, cached_njit

_INT = ir.IntType(64)
# Of what is called by other compiled code alone.
_OPTIONS = {**FAST, "no_cfunc_wrapper": False, "no_cpython_wrapper": True}


def _dots(a, w, out, rows, columns, classes):
    dots(
        carray(a, (rows, columns)),
        carray(w, (classes, columns)),
        carray(out, (classes, rows)),
    )


def _combine(a, r, out, rows, columns, classes):
    combine(
        carray(a, (rows, columns)),
        carray(r, (classes, rows)),
        carray(out, (classes, columns)),
    )


@cache
def _compiled(function):
    return cached_njit(function, _OPTIONS)


@cache
def _address(function, dtype):
    pointer = types.CPointer(getattr(types, dtype))
    signature = types.void(*[pointer] * 3, *[types.intp] * 3)
    _compiled(function).compile(signature)
    made = _compiled(function).overloads[signature.args]
    return made.library.get_pointer_to_function(made.fndesc.llvm_cfunc_wrapper_name)


def dots_address(dtype):
    """Address of `dots` for `product_at`, with arrays of the dtype of that name."""
    return _address(_dots, dtype)


def combine_address(dtype):
    """Address of `combine` for `product_at`, with arrays of the dtype of that name."""
    return _address(_combine, dtype)


@intrinsic
def product_at(typingctx, address, a, factor, out):
    """The product of two dimensions at `address`, of `dots_address` for their dtype."""
    contiguous(a, factor, out)
    if (a.ndim, factor.ndim, out.ndim) != (2, 2, 2):
        raise errors.TypingError("expected arrays of two dimensions")

    def codegen(context, builder, signature, args):
        arrays = [
            context.make_array(kind)(context, builder, value)
            for kind, value in zip(signature.args[1:], args[1:], strict=True)
        ]
        rows, columns = cgutils.unpack_tuple(builder, arrays[0].shape)
        classes, _ = cgutils.unpack_tuple(builder, arrays[2].shape)
        given = [*(array.data for array in arrays), rows, columns, classes]
        kind = ir.FunctionType(ir.VoidType(), [value.type for value in given])
        function = builder.inttoptr(args[0], kind.as_pointer())
        builder.call(function, given)
        return context.get_dummy_value()

    return types.void(address, a, factor, out), codegen
