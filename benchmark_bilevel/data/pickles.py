"""Read pickles of arrays without executing what else a pickle may ask for.

scikit-learn keeps what it fetched in pickles, its own and joblib's, and a pickle can
call any function by name. Anyone who can write into a shared data home could so run
code in every process that reads it. Here the few classes of arrays can be named.
"""

import pickle
from functools import cache

import numpy as np

CHUNK = 2**24  # bytes read at once


class UnsafePickle(ValueError):
    """A pickle asks for something that is no part of an array or of text."""


def load(path):
    """The object in a zlib-compressed pickle, written by pickle or by joblib.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    object
        Containers of text, numbers, arrays and sparse matrices.

    Raises
    ------
    UnsafePickle
        If it names anything else. Damaged files raise whatever they may.
    """
    from joblib.compressor import BinaryZlibFile

    with BinaryZlibFile(str(path)) as file:
        return _Unpickler(file).load()


class _Unpickler(pickle._Unpickler):
    """Pickle's machine in Python, as joblib's, which can stop to read raw arrays."""

    dispatch = pickle._Unpickler.dispatch.copy()

    def __init__(self, file):
        super().__init__(file)
        self.file = file

    def find_class(self, module, name):
        allowed = _allowed()
        if (module, name) not in allowed:
            raise UnsafePickle(f"it is a pickle that asks for {module}.{name}")
        return allowed[module, name]

    def load_build(self):
        super().load_build()
        if isinstance(self.stack[-1], _Array):
            self.stack[-1] = self.stack[-1].read(self.file)

    dispatch[pickle.BUILD[0]] = load_build


class _Array:
    """joblib's NumpyArrayWrapper: it stands for the array whose bytes come next."""

    numpy_array_alignment_bytes = None

    def read(self, file):
        if self.dtype.hasobject:
            return _Unpickler(file).load()
        if self.numpy_array_alignment_bytes is not None:
            file.read(file.read(1)[0])  # padding, its length first
        shape = self.shape[::-1] if self.order == "F" else self.shape
        array = np.empty(shape, self.dtype)
        content = array.reshape(-1).view(np.uint8)
        for start in range(0, content.size, CHUNK):
            chunk = content[start : start + CHUNK]
            chunk[:] = np.frombuffer(file.read(chunk.size), np.uint8, chunk.size)
        return array.T if self.order == "F" else array


@cache
def _allowed():
    """The classes and functions that arrays are made by, under old and new names."""
    from scipy.sparse import csr_matrix
    from sklearn.utils import Bunch

    reconstruct = np.empty(0).__reduce__()[0]
    from_buffer = np.empty(1).__reduce_ex__(5)[0]
    return {
        ("joblib.numpy_pickle", "NumpyArrayWrapper"): _Array,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("numpy.core.multiarray", "_reconstruct"): reconstruct,
        ("numpy._core.multiarray", "_reconstruct"): reconstruct,
        ("numpy.core.numeric", "_frombuffer"): from_buffer,
        ("numpy._core.numeric", "_frombuffer"): from_buffer,
        ("scipy.sparse.csr", "csr_matrix"): csr_matrix,
        ("scipy.sparse._csr", "csr_matrix"): csr_matrix,
        ("sklearn.utils", "Bunch"): Bunch,
        ("sklearn.utils._bunch", "Bunch"): Bunch,
    }
