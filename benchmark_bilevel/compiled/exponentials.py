"""Exponentials in vector instructions, and the losses' functions made of them.

Like `kernels`: generic over float32 and float64, on one thread, on contiguous arrays.
"""

import math

import numpy as np
from numba import njit, types
from numba.extending import intrinsic, overload

from benchmark_bilevel.compiled import target
from benchmark_bilevel.fingerprint import FAST

# "reassoc" would cancel the rounding trick of `exp_scalar`.
_SAFE = {**FAST, "fastmath": {"contract", "nsz"}}
_FMA = target.has("fma")


@intrinsic
def wide(typingctx):
    """Let LLVM vectorise the loops of the calling function to 64 bytes (AVX-512).

    By itself it stops at 32 on these processors; others ignore the wish. Loops over
    `exp_scalar` take 0.7 times as long in float32 and 0.65 times in float64.
    """

    def codegen(context, builder, signature, args):
        # The `add` of llvmlite's set refuses attributes that have a value.
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.void(), codegen


def _make_exp(real, word, mantissa, bias, bounds, log2_parts, polynomial):
    inverse, zero, infinity = real(1 / math.log(2)), real(0), real(math.inf)
    high, low = (real(part) for part in log2_parts)
    least, greatest = (real(bound) for bound in bounds)
    first, *others = (real(coefficient) for coefficient in polynomial)
    others, unit = tuple(others), real(1)
    # Floats of this size are 1 apart. Adding it rounds x / log 2 to the integer n, and
    # leaves n + 2 bias in the low bits: the sum of the biased exponents of two powers
    # of two. One power could reach neither overflow (n = 128) nor denormal results.
    shift = real(1.5 * 2**mantissa + 2 * bias)
    one, mantissa = word(1), word(mantissa)

    def exp(x):
        shifted = x * inverse + shift
        n = shifted - shift
        remainder = x - n * high - n * low
        value = first
        for coefficient in others:
            value = value * remainder + coefficient
        if _FMA:
            value = (value * remainder + unit) * remainder + unit
        else:  # these roundings count: the large terms are added last, and r's error
            error = (x - n * high) - remainder - n * low
            value = unit + (remainder + (remainder * remainder * value + error))
        both = real(shifted).view(word)
        half = word(both >> one)
        value *= word(half << mantissa).view(real)
        value *= word(word(both - half) << mantissa).view(real)
        # Two selections at the end are faster than clamping x (7 %), and keep NaN.
        value = zero if x < least else value
        return infinity if x > greatest else value

    return exp


# exp(x) = 2^n e^r, where x = n log 2 + r and |r| <= log(2) / 2. log 2 is the sum of two
# parts, the first with so few bits that its product with n is exact. The polynomial is
# 1 + r + r^2 q(r); given here are the coefficients of q, highest power first. It
# interpolates (e^r - 1 - r) / r^2 at the Chebyshev nodes of the interval (computed with
# 50 digits), and so adds less than 0.1 ulp to the rounding.
_EXP = {
    types.float32: _make_exp(
        np.float32,
        np.uint32,
        mantissa=23,
        bias=127,
        bounds=(-104, 89),
        log2_parts=(0.693359375, -2.1219444005469058e-4),
        polynomial=(
            1.3926176e-3,
            8.363173e-3,
            4.1666556e-2,
            1.6666578e-1,
            0.5,
        ),
    ),
    types.float64: _make_exp(
        np.float64,
        np.uint64,
        mantissa=52,
        bias=1023,
        bounds=(-746, 710),
        log2_parts=(0.6931471803691238, 1.9082149292705878e-10),
        polynomial=(
            2.5100375832561234e-08,
            2.7620075879983367e-07,
            2.7557268480310024e-06,
            2.4801521322368692e-05,
            1.9841269863040545e-04,
            1.3888888917196719e-03,
            8.333333333330065e-03,
            4.1666666666624164e-02,
            1.6666666666666669e-01,
            0.5000000000000001,
        ),
    ),
}


def _exp(x):
    """Stand-in for the function of the type of x."""


@overload(_exp, jit_options=_SAFE)
def _exp_of_type(x):
    return _EXP.get(x)


@njit(**_SAFE)
def exp_scalar(x):
    """Return e^x of a float, denormal results included, within 1 ulp.

    It has no branches: loops like `r[i] = y[i] / (one + exp_scalar(s[i]))` are
    vectorised, whatever the fastmath flags of the function around them (the operations
    in here keep theirs). In that function call `wide()`, make every constant of the
    arrays' dtype (`one = s.dtype.type(1)`: a literal 1 makes float32 float64), and give
    memory that is read and overwritten one name: when two arrays turn out to overlap,
    LLVM's loop takes one element at a time.
    """
    return _exp(x)


# Inlined: a call takes as long as 64 numbers and more (10 to 40 ns).
@njit(forceinline=True, **_SAFE)
def exp(a, out):
    """Elementwise exponential: out[i] = e^a[i].

    Shapes: a and out (n,); out may be a. NaN, infinities, overflow and denormal results
    are right. A number takes 0.18 ns in float32 and 0.48 ns in float64, where the C
    library takes 2.0 and 4.2.
    """
    wide()
    if a.ctypes.data == out.ctypes.data:  # one name for it, see `exp_scalar`
        for i in range(out.size):
            out[i] = exp_scalar(out[i])
    else:
        for i in range(out.size):
            out[i] = exp_scalar(a[i])


@njit(forceinline=True, **_SAFE)
def sigmoid(a, out):
    """Elementwise logistic function: out[i] = 1 / (1 + e^-a[i]).

    Shapes: a and out (n,); out may be a.
    """
    wide()
    one = out.dtype.type(1)
    if a.ctypes.data == out.ctypes.data:
        for i in range(out.size):
            out[i] = one / (one + exp_scalar(-out[i]))
    else:
        for i in range(out.size):
            out[i] = one / (one + exp_scalar(-a[i]))


@njit(**_SAFE)
def softmax(s, out):
    """Softmax over the classes: out[k, i] = e^s[k, i] / sum_j e^s[j, i].

    Shapes: s and out (classes, batch); out may be s. The maximum of each column is
    subtracted first.
    """
    wide()
    classes, batch = s.shape
    if s.ctypes.data != out.ctypes.data:
        for k in range(classes):
            for i in range(batch):
                out[k, i] = s[k, i]
    top, total = np.empty((2, batch), s.dtype)
    for i in range(batch):
        top[i] = out[0, i]
        total[i] = 0
    for k in range(1, classes):
        for i in range(batch):
            top[i] = max(top[i], out[k, i])
    for k in range(classes):
        for i in range(batch):
            term = exp_scalar(out[k, i] - top[i])
            out[k, i] = term
            total[i] += term
    one = s.dtype.type(1)
    for i in range(batch):
        total[i] = one / total[i]
    for k in range(classes):
        for i in range(batch):
            out[k, i] *= total[i]


@njit(**FAST)
def log_sum_exp(s, out):
    """Logarithm of the sum over the classes: out[i] = log sum_k e^s[k, i].

    Shapes: s (classes, batch), out (batch,). The maximum is taken out, if it is finite.
    """
    for i in range(out.size):
        top = s[0, i]
        for k in range(1, s.shape[0]):
            top = max(top, s[k, i])
        top = top if math.isfinite(top) else out.dtype.type(0)
        total = out.dtype.type(0)
        for k in range(s.shape[0]):
            total += math.exp(s[k, i] - top)
        out[i] = top + math.log(total)
