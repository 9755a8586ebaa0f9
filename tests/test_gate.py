"""The gate: every form of the same data gives the same bits."""

import itertools

import hypothesis
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, dataset, load_plugin
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import sparse

from benchmark_bilevel.data import Inadmissible, admit
from benchmark_bilevel.data.sinusoid import sinusoid_tasks
from benchmark_bilevel.problems import PROBLEMS

CLASSIFIERS = ("hyperparameter-selection", "data-hypercleaning", "data-poisoning")


def plain(n_classes=3, n=60):
    """Images of small integers, which every type holds exactly, and labels."""
    generator = np.random.default_rng(0)
    X = generator.integers(0, 17, (n, 6)).astype(float)
    X[X < 6] = 0
    return X, np.arange(n) % n_classes


def admitted(X, y, **arrays):
    return admit("classes", X_train=X, y_train=y, **arrays)


def posed(name, data):
    """The problem `name` with the objective's defaults on admitted data."""
    defaults = load_plugin(ROOT / "objective.py").Objective.parameters
    problem = PROBLEMS[name]
    return problem(data, **{option: defaults[option][0] for option in problem.options})


def same_bits(a, b):
    if a is None or b is None:
        return a is b
    if sparse.issparse(a) or sparse.issparse(b):
        return type(a) is type(b) and all(
            same_bits(getattr(a, part), getattr(b, part))
            for part in ("data", "indices", "indptr")
        )
    return (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())


def assert_same(found, right):
    names = ("X_train", "y_train", "X_test", "y_test")
    assert [name for name in names if not same_bits(found[name], right[name])] == []


def memory_mapped(X, tmp_path):
    np.save(tmp_path / "X.npy", X)
    return np.load(tmp_path / "X.npy", mmap_mode="r")


def unaligned(X):
    buffer = np.zeros(X.nbytes + 1, np.uint8)
    copy = buffer[1:].view(X.dtype).reshape(X.shape)
    copy[:] = X
    return copy


def read_only(X):
    X = X.copy()
    X.setflags(write=False)
    return X


DENSE = {
    "list": np.ndarray.tolist,
    "Fortran": np.asfortranarray,
    "strided": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    "backwards": lambda X: X[::-1].copy()[::-1],
    "unaligned": unaligned,
    "read-only": read_only,
    "masked, none": np.ma.masked_array,
    "object": lambda X: X.astype(object),
    "images": lambda X: X.reshape(-1, 2, 3),
    "images with a channel": lambda X: X.reshape(-1, 2, 3, 1),
    "frame": lambda X: pd.DataFrame(X, index=np.arange(len(X)) + 7),
    "frame of several types": lambda X: pd.DataFrame(X).astype({0: int, 1: "Int64"}),
    **{
        kind: lambda X, kind=kind: X.astype(kind)
        for kind in (">f8", "<f8", "f4", "f2", ">i2", "i1", "i8", "u4", "longdouble")
    },
}


@pytest.mark.parametrize("form", DENSE.values(), ids=DENSE)
def test_dense_forms(form):
    X, y = plain()
    found, right = admitted(form(X), y), admitted(X, y)
    assert_same(found, right)
    flags = found["X_train"].flags
    assert found["X_train"].dtype == float and flags.c_contiguous and flags.aligned


def test_memory_mapped_file(tmp_path):
    X, y = plain()
    assert_same(admitted(memory_mapped(X, tmp_path), y), admitted(X, y))


def test_unsigned_bytes_stay_and_problems_see_the_same(n=180):
    X, y = plain(n=n)
    as_bytes = admitted(np.asfortranarray(X.astype(np.uint8)), y)
    assert as_bytes["X_train"].dtype == np.uint8
    assert as_bytes["X_train"].flags.c_contiguous
    for name, n_classes in itertools.product(CLASSIFIERS, (2, 3)):
        y = np.arange(n) % n_classes
        for test in ({}, {"X_test": X.astype(np.uint8), "y_test": y}):
            problems = [
                posed(name, admitted(form, y, **test)) for form in (X, X.astype("u1"))
            ]
            for samples in ("inner_samples", "outer_samples"):
                first, second = (getattr(p, samples) for p in problems)
                assert all(map(same_bits, first, second)), (name, samples)


def with_duplicates(A):
    halves = np.repeat(A.data / 2, 2), np.repeat(A.indices, 2), 2 * A.indptr
    return sparse.csr_matrix(halves, A.shape)


def unsorted(A):
    A = A.copy()
    for start, stop in zip(A.indptr, A.indptr[1:], strict=False):
        for array in (A.indices, A.data):
            array[start:stop] = array[start:stop][::-1].copy()
    A.has_sorted_indices = True  # a lie: scipy would believe it
    return A


def with_zeros(A):
    rows, columns = np.indices(A.shape).reshape(2, -1)
    return sparse.csr_matrix((A.toarray().ravel(), (rows, columns)), A.shape)


def long_indices(A):
    A = A.copy()
    A.indices, A.indptr = A.indices.astype(np.int64), A.indptr.astype(np.int64)
    return A


SPARSE = {
    "unsorted": unsorted,
    "duplicates": with_duplicates,
    "zeros": with_zeros,
    "int64 indices": long_indices,
    **{
        kind: lambda A, kind=kind: A.asformat(kind)
        for kind in ("csc", "coo", "lil", "dok", "bsr", "dia")
    },
    **{
        kind.__name__: kind
        for kind in (sparse.csr_array, sparse.csc_array, sparse.coo_array)
    },
    **{
        kind: lambda A, kind=kind: A.astype(kind)
        for kind in ("f4", "i8", "u1", "int32")
    },
}


@pytest.mark.parametrize("form", SPARSE.values(), ids=SPARSE)
def test_sparse_forms(form):
    X, y = plain()
    A = sparse.csr_matrix(X)
    given = form(A)
    before = given.copy()
    found = admitted(given, y)
    assert_same(found, admitted(A, y))
    assert found["X_train"].has_canonical_format
    assert found["X_train"].indices.dtype == np.int32
    # The user's matrix is as it was.
    assert (before != given).nnz == 0 and before.nnz == given.nnz


def test_booleans():
    X, y = plain()
    assert_same(admitted(X > 0, y), admitted((X > 0).astype(float), y))
    A = sparse.csr_matrix(X)
    assert_same(admitted(A != 0, y), admitted((A != 0).astype(float), y))


LABELS = {
    "minus one": ((-1, 0, 1), None),
    "one-based": ((1, 2, 3), None),
    "gaps": ((0, 2, 5), None),
    "large": ((7, 1000, 100_000), None),
    "floats": ((-1.0, 0.5, 2.0), None),
    "text": (("cat", "dog", "eel"), None),
    "bytes": ((b"cat", b"dog", b"eel"), None),
    "objects": (("cat", "dog", "eel"), object),
    "uint8": ((0, 1, 2), np.uint8),
    "big-endian": ((0, 1, 2), ">i4"),
    "dates": (("2001-01-01", "2002-01-01", "2003-01-01"), "datetime64[D]"),
}
CONTAINERS = {
    "array": np.asarray,
    "column": lambda y: y[:, None],
    "list": np.ndarray.tolist,
    "Series": pd.Series,
    "categories": lambda y: pd.Series(y.tolist()).astype("category"),
    "frame": lambda y: pd.DataFrame({"label": y}),
    "read-only": read_only,
}


@pytest.mark.parametrize(("names", "dtype"), LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)
def test_labels(names, dtype, container):
    X, y = plain()
    names = np.array(names, dtype)
    test = {"X_test": X[:4], "y_test": container(names[y[:4] // 2])}
    found = admitted(X, container(names[y]), **test)
    assert_same(found, admitted(X, y, X_test=X[:4], y_test=y[:4] // 2))
    assert len(found["classes"]) == 3 and found["y_train"].dtype == np.int64


def test_two_classes_of_booleans_and_of_sparse_labels():
    X, y = plain(2)
    assert_same(admitted(X, y == 1), admitted(X, y))
    assert_same(admitted(X, sparse.csr_matrix(y[:, None])), admitted(X, y))


@hypothesis.settings(max_examples=60, deadline=None, derandomize=True)
@hypothesis.given(
    X=arrays.arrays(
        st.sampled_from([np.int8, np.int32, np.uint16, np.float32, np.float64]),
        (12, 3),
        elements=st.integers(0, 100),
    ),
    names=st.lists(st.integers(-(2**40), 2**40), min_size=2, max_size=4, unique=True),
    order=st.permutations(range(12)),
    fortran=st.booleans(),
    sparse_format=st.sampled_from([None, "csc", "coo", "lil"]),
)
def test_any_numbers_and_any_names(X, names, order, fortran, sparse_format):
    """Whatever the labels are called, they get the places of their sorted names."""
    X[0], X[1] = 0, 1
    right = np.arange(12) % len(names)
    right = right[order]
    y = np.sort(names)[right]
    exact = X.astype(float)
    given = np.asfortranarray(X) if fortran else X
    if sparse_format:
        exact, given = (sparse.csr_matrix(A) for A in (exact, given))
        given = given.asformat(sparse_format)
    found = admitted(given, y)
    assert_same(found, admitted(exact, right))
    assert np.array_equal(found["classes"][found["y_train"]], y)


def test_test_part_takes_the_form_of_the_training_part():
    X, y = plain()
    A = sparse.csr_matrix(X)
    right = admitted(A, y, X_test=A, y_test=y)
    assert_same(admitted(A, y, X_test=X, y_test=y), right)
    right = admitted(X, y, X_test=X, y_test=y)
    assert_same(admitted(X, y, X_test=A.tocsc(), y_test=y), right)


def test_absent_test_part():
    X, y = plain()
    without = admit(X_train=X, y_train=y)
    assert without["X_test"] is None and without["y_test"] is None
    assert_same(admit(X_train=X, y_train=y, X_test=None, y_test=None), without)


@pytest.mark.parametrize("name", ["digits", "breast_cancer", "simulated", "quadratic"])
def test_our_data_pass_as_they_are(name):
    assert_passes_as_it_is(dataset(name))


def assert_passes_as_it_is(loaded):
    """Neither copied nor changed, so that results stay what they are."""
    found = admit(**loaded)
    for name, array in loaded.items():
        assert same_bits(found[name], array)
    for name in {"X_train", "A"} & set(loaded):
        first, second = (getattr(d[name], "indices", d[name]) for d in (found, loaded))
        assert np.shares_memory(first, second)


def test_further_arrays_are_kept_and_those_that_are_known_are_admitted():
    """They are for a problem of one's own; the others are no less in need of it."""
    note = object()
    for name, wrong in (("quadratic", "A"), ("multi_task_ridge", "task_y")):
        data = dataset(name)
        found = admit(**data, note=note)
        assert found["note"] is note
        assert all(same_bits(found[key], admit(**data)[key]) for key in data)
        for value in (np.full_like(data[wrong], np.nan), data[wrong][:, :-1], 3.0):
            with pytest.raises(Inadmissible):
                admit(**{**data, wrong: value}, note=note)
    data = sinusoid_tasks(n_tasks=4, n_test_tasks=2, n_shots=3)
    assert admit(**data, note=note)["note"] is note
    with pytest.raises(Inadmissible):
        admit(**{**data, "query": np.nan * data["query"]}, note=note)
