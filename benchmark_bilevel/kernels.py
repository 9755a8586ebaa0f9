"""TEMPORARY simple version, to be overwritten by the tuned one."""
import numpy as np
from numba import njit
FAST = dict(fastmath={"reassoc","contract","arcp","nsz"}, error_model="numpy")
@njit(**FAST)
def dots(a, w, out):
    for l in range(a.shape[0]):
        s = out.dtype.type(0)
        for i in range(a.shape[1]): s += a[l, i]*w[i]
        out[l] = s
@njit(**FAST)
def combine(a, r, out):
    for i in range(out.size): out[i] = 0
    for l in range(a.shape[0]):
        for i in range(a.shape[1]): out[i] += a[l, i]*r[l]
@njit(**FAST)
def exp(a, out):
    for k in range(a.size): out[k] = np.exp(a[k])
