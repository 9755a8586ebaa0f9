"""Conjugate gradients of the exact layer: when they end, and where they fail."""

from functools import partial

import numpy as np
import pytest

from benchmark_bilevel.exact.linear_systems import InnerSolveError, conjugate_gradients

DIM = 40


def spectrum(generator, eigenvalues):
    basis, _ = np.linalg.qr(generator.standard_normal((DIM, DIM)))
    return basis * eigenvalues @ basis.T


def same(r):
    return r.copy()


@pytest.mark.parametrize("n_values", [1, 2, 5])
def test_as_many_iterations_as_eigenvalues(generator, n_values):
    H = spectrum(generator, 1.0 + np.arange(DIM) % n_values)
    b = generator.standard_normal(DIM)
    d, _, n_iterations = conjugate_gradients(lambda d: H @ d, b, same, 1e-10)
    assert n_iterations == n_values
    np.testing.assert_allclose(H @ d, b, atol=1e-10)
    assert (
        conjugate_gradients(lambda d: H @ d, b, partial(np.linalg.solve, H), 1e-10)[2]
        == 1
    )


def test_guesses_and_errors_that_are_small_enough(generator):
    H, b = np.diag(np.linspace(1, 9, DIM)), generator.standard_normal(DIM)
    right = np.linalg.solve(H, b)

    def n_iterations(start=None, **stop):
        given = None if start is None else start.copy()
        end = conjugate_gradients(lambda d: H @ d, b, same, 1e-8, start, **stop)
        np.testing.assert_array_equal(start, given)
        np.testing.assert_allclose(end[1], b - H @ end[0], atol=1e-13)
        return end[2]

    assert n_iterations(right) == 0 < n_iterations(right + 1e-6) < n_iterations()
    assert n_iterations(floor=1.01 * b @ b) == 0 < n_iterations(floor=0.99 * b @ b)
    with pytest.raises(InnerSolveError, match="did not converge"):
        n_iterations(max_iterations=3)
    n_enough = n_iterations()
    assert n_iterations(max_iterations=n_enough) == n_enough


def test_rounding_is_no_failure(generator):
    """A residual that cannot be reduced further is small enough."""
    H, b = spectrum(generator, np.logspace(-3, 0, DIM)), generator.standard_normal(DIM)
    d, _, n_iterations = conjugate_gradients(lambda d: H @ d, b, same, 1e-30)
    np.testing.assert_allclose(H @ d, b, atol=1e-9)
    assert n_iterations < 5000


def test_a_coarse_tolerance_is_one(generator):
    """No d, not even 0, is returned that misses it; nearly flat problems stalled so."""
    H, b = spectrum(generator, np.logspace(-12, 0, DIM)), generator.standard_normal(DIM)
    for rough in (None, lambda d: np.float32(H) @ np.float32(d)):
        with pytest.raises(InnerSolveError, match="did not converge"):
            conjugate_gradients(lambda d: H @ d, b, same, 1e-2, None, 0.0, rough, 9)


def test_useless_products_take_no_iterations_from_exact_ones(generator):
    H, b = spectrum(generator, np.logspace(-3, 0, DIM)), generator.standard_normal(DIM)
    n_exact = conjugate_gradients(lambda d: H @ d, b, same, 1e-2)[2]
    d, *_ = conjugate_gradients(
        lambda d: H @ d, b, same, 1e-2, None, 0.0, lambda d: d, n_exact
    )
    assert np.linalg.norm(H @ d - b) <= 1e-2 * np.linalg.norm(b)


@pytest.mark.parametrize("eigenvalue", [0.0, -1.0])
def test_a_direction_without_curvature_has_no_solution(eigenvalue):
    H = np.diag([1.0, eigenvalue])
    with pytest.raises(InnerSolveError, match="did not converge"):
        conjugate_gradients(lambda d: H @ d, np.array([0.0, 1.0]), same, 1e-10)


@pytest.mark.parametrize("error", [0.0, 1e-6, 1e-2, np.nan])
def test_conjugate_gradients_with_rough_products(error, generator):
    """However wrong they are, the solution is right; good ones replace the exact ones."""
    H = spectrum(generator, np.logspace(-3, 0, DIM))
    wrong = H + error * generator.standard_normal(H.shape)
    b, n_exact = generator.standard_normal(DIM), 0

    def product(d):
        nonlocal n_exact
        n_exact += 1
        return H @ d

    d, residual, _ = conjugate_gradients(
        product, b, same, 1e-10, rough=lambda d: wrong @ d
    )
    assert np.linalg.norm(H @ d - b) <= 1e-10 * np.linalg.norm(b)
    np.testing.assert_allclose(residual, b - H @ d, atol=1e-14)
    assert n_exact <= 6 if error < 1e-5 else n_exact > 6
