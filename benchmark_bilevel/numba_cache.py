"""Numba's cache of compiled functions on disk, with what a run has to survive.

Numba itself raises where a file of the cache is cut, where the disk is full and where it
finds no folder that it can write.
"""

import hashlib
import pickle
import uuid

from numba.core import caching

from benchmark_bilevel.folders import temporary_folder
from benchmark_bilevel.notices import say_once


def keep(dispatcher):
    """Let a compiled function be kept on disk, as ``njit(cache=True)`` does.

    What cannot be loaded is compiled, what cannot be saved is compiled again next time.
    """
    try:
        dispatcher._cache = Cache(dispatcher.py_func)
    except (OSError, RuntimeError):  # no temporary folder; "no locator available"
        say_once(
            "Compiled code cannot be kept: no folder can be written. Each run compiles "
            "anew unless NUMBA_CACHE_DIR names a folder that can."
        )
    return dispatcher


class TemporaryLocator(caching.UserWideCacheLocator):
    """The last resort, where the package and the user's home are read-only."""

    def __init__(self, py_func, py_file):
        super().__init__(py_func, py_file)
        subpath = self.get_suitable_cache_subpath(py_file)
        self._cache_path = str(temporary_folder() / "numba" / subpath)


class _Implementation(caching.CompileResultCacheImpl):
    _locator_classes = (*caching.CacheImpl._locator_classes, TemporaryLocator)


class _Files(caching.IndexDataCacheFile):
    """An index and files of machine code that processes may share and disks may cut."""

    def _load_index(self):
        try:
            return super()._load_index()
        except Exception:  # the ways in which a damaged pickle fails are countless
            return {}

    def _data_name(self, number):
        # Not a number: two processes that save at once would take the same one, and the
        # index of one then names the machine code of the other.
        return self._data_name_pattern.replace("{number:d}", uuid.uuid4().hex[:16])

    def _dump(self, obj):
        data = super()._dump(obj)
        return data + hashlib.sha256(data).digest()  # a pickle ends before it

    def _load_data(self, name):
        with open(self._data_path(name), "rb") as file:
            data = file.read()
        if hashlib.sha256(data[:-32]).digest() != data[-32:]:
            raise ValueError("damaged")
        return super()._load_data(name)


class Cache(caching.FunctionCache):
    """The cache of one function; see `keep`."""

    _impl_class = _Implementation

    def __init__(self, py_func):
        super().__init__(py_func)
        self._cache_file = _Files(
            self._cache_path,
            self._impl.filename_base,
            self._impl.locator.get_source_stamp(),
        )

    def load_overload(self, sig, target_context):
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # damaged, or of a module that is not importable here
            return None

    def save_overload(self, sig, data):
        try:
            super().save_overload(sig, data)
        except OSError as error:
            say_once(
                f"Compiled code cannot be kept ({error.strerror}): the next run compiles "
                "anew. NUMBA_CACHE_DIR names another folder."
            )
        except pickle.PicklingError:  # of a type whose module has a namesake by now
            pass
