"""Systems with H: factors, products, and which of them when."""

from functools import partial

import numpy as np
import pytest
from scipy.stats import ortho_group

from benchmark_bilevel.exact import linear_systems
from benchmark_bilevel.exact.linear_systems import (
    HessianSolver,
    InnerSolveError,
    factorised,
)

DIM = 40


class Model:
    """A problem and its losses, with H = (1 + z₀²) A + z₁ B + diag(x)."""

    kernels, counts, dim_z = None, None, DIM
    free = np.zeros((0, DIM))

    def __init__(self, generator, n_inner=100):
        self.n_inner = n_inner
        bases = ortho_group.rvs(DIM, size=2, random_state=generator)
        self.A, self.B = (Q * np.logspace(-3, 0, DIM) @ Q.T for Q in bases)
        self.n_products, self.every = 0, []

    def matrix(self, z, x):
        return (1 + z[0] ** 2) * self.A + z[1] * self.B + np.diag(x)

    def hvp(self, z, x, d):
        self.n_products += 1
        return self.matrix(z, x) @ d

    def hessian(self, z, x, every=1):
        self.every.append(every)
        return self.matrix(z, x)

    def regulariser_diagonal(self, x):
        return x

    def free_directions(self, x):
        return self.free

    def preconditioner(self, z, x):
        return partial(np.linalg.solve, np.diag(x + 1e-3))


@pytest.fixture
def model(generator):
    return Model(generator)


def point(generator, z0=0.0, z1=0.0):
    z = generator.standard_normal(DIM)
    z[:2] = z0, z1
    return z, 10 ** generator.uniform(-4, 2, DIM)


def check(model, z, x, b, d, residual, rtol):
    """The residual is that of d, which is right in the norm of H, about."""
    H = model.matrix(z, x)
    np.testing.assert_allclose(residual, b - H @ d, atol=1e-12 * np.linalg.norm(b))
    right = np.linalg.solve(H, b)
    assert (d - right) @ H @ (d - right) <= (10 * rtol) ** 2 * (right @ b)


WAYS = {
    "factor": {},
    "old factor": {"CHEAP_HESSIAN": 0},
    "products": {"DENSE_LIMIT": 0},
}


@pytest.mark.parametrize("way", WAYS)
def test_solution_and_residual(model, generator, monkeypatch, way):
    for name, limit in WAYS[way].items():
        monkeypatch.setattr(linear_systems, name, limit)
    solver = HessianSolver(model, model)
    for z0, z1 in [(0.0, 0.0), (0.1, 0.0), (3.0, 50.0), (0.0, 0.0)]:
        z, x = point(generator, z0, z1)
        for scale in (1.0, 1e-30):
            b = scale * generator.standard_normal(DIM)
            d, residual = solver.solve(z, x, b, 1e-8)
            check(model, z, x, b, d, residual, 1e-8)


def test_limits_of_size(generator, monkeypatch):
    monkeypatch.setattr(linear_systems, "CHEAP_HESSIAN", 100 * DIM**2)
    monkeypatch.setattr(linear_systems, "DENSE_LIMIT", DIM)
    for n_inner, is_cheap in ((100, True), (101, False)):
        model = Model(generator, n_inner)
        solver = HessianSolver(model, model)
        assert solver.is_dense and solver.is_cheap == is_cheap
    monkeypatch.setattr(linear_systems, "DENSE_LIMIT", DIM - 1)
    assert not HessianSolver(model, model).is_dense


def test_a_factor_serves_at_its_point_only(model, generator):
    solver, (z, x) = HessianSolver(model, model), point(generator)
    n_formed = []
    for moved in [(z, x), (z, x), (z + 1, x), (z + 1, x + 1), (z + 1, x + 1)]:
        b = generator.standard_normal(DIM)
        check(model, *moved, b, *solver.solve(*moved, b, 1e-10), 1e-10)
        n_formed.append(len(model.every))
    assert n_formed == [1, 1, 2, 3, 3] and model.n_products == 5
    solver.forget()
    solver.solve(z + 1, x + 1, b, 1e-10)
    assert len(model.every) == 4


@pytest.mark.parametrize("times, every", [(0.5, 1), (1, 1), (1.9, 1), (2, 2), (3.1, 3)])
def test_large_hessians_are_those_of_samples(generator, monkeypatch, times, every):
    monkeypatch.setattr(linear_systems, "CHEAP_HESSIAN", 0)
    monkeypatch.setattr(linear_systems, "SAMPLED_HESSIAN", 100 * DIM**2)
    model = Model(generator, round(100 * times))
    z, x = point(generator)
    HessianSolver(model, model).solve(z, x, z, 1e-2)
    assert model.every == [every]


def test_an_old_factor_serves_until_it_is_bad(model, generator, monkeypatch):
    """With the new regulariser, which is known, it is good at any x."""
    monkeypatch.setattr(linear_systems, "CHEAP_HESSIAN", 0)
    solver, n_products = HessianSolver(model, model), []
    for z0, z1 in [(0.0, 0.0), (0.0, 0.0), (0.1, 0.0), (0.0, 1e3), (0.0, 1e3)]:
        model.n_products = 0
        z, x = point(generator, z0, z1)
        solver.solve(z, x, generator.standard_normal(DIM), 1e-8)
        n_products.append((model.n_products, len(model.every)))
    (first, _), (same, _), (near, n_near), (far, n_far), (again, n_again) = n_products
    assert first == same == 2 < near < 10 < far and again == 2
    assert (n_near, n_far, n_again) == (1, 1, 2)


def test_free_directions_are_left_alone(model, generator):
    """H and b have no part along them, and so has the solution."""
    model.free, _ = np.linalg.qr(generator.standard_normal((DIM, 2)))
    model.free = model.free.T
    project = np.eye(DIM) - model.free.T @ model.free
    model.A = project @ model.A @ project
    z, _ = point(generator)
    b = project @ generator.standard_normal(DIM)
    d, residual = HessianSolver(model, model).solve(z, np.zeros(DIM), b, 1e-8)
    assert np.abs(model.free @ d).max() <= 1e-9 * np.linalg.norm(d)
    assert np.linalg.norm(residual) <= 1e-10 * np.linalg.norm(b)
    assert model.n_products == 1, "the factor is that of H itself"


def test_products_in_float32(model, generator, monkeypatch):
    """Of directions of size 1, so that none is too small for them."""
    n_rough = 0

    class Rough:
        def __init__(self, problem, counts, dtype):
            assert dtype == "float32"

        def hvp_at(self, z, x):
            H = model.matrix(z, x).astype(np.float32)

            def product(d):
                nonlocal n_rough
                n_rough += 1
                assert z.dtype == x.dtype == d.dtype == np.float32
                assert np.abs(d).max() == 1
                return H @ d

            return product

    monkeypatch.setattr(linear_systems, "CompiledLosses", Rough)
    monkeypatch.setattr(linear_systems, "DENSE_LIMIT", 0)
    model.kernels = "some"
    z, x = point(generator)
    b = 1e-60 * generator.standard_normal(DIM)
    d, residual = HessianSolver(model, model).solve(z, x, b, 1e-10)
    check(model, z, x, b, d, residual, 1e-10)
    assert model.n_products <= 6 and n_rough > 20


# --- factors --------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e-20, 1.0])
def test_singular_matrices_of_many_scales(scale):
    """Rounding is measured against each entry of the diagonal."""
    matrix = np.diag([scale, scale, 1e20, 1e-40])
    matrix[0, 1] = matrix[1, 0] = scale
    b = matrix @ [1.0, 1.0, 3.0, 5.0]
    solve, is_exact = factorised(matrix)
    assert not is_exact
    np.testing.assert_allclose(matrix @ solve(b), b, rtol=1e-9)


def test_a_regular_matrix_is_not_shifted():
    solve, is_exact = factorised(np.array([[2.0, 1.0], [1.0, 2.0]]))
    assert is_exact
    np.testing.assert_allclose(solve(np.array([3.0, 3.0])), 1.0, rtol=1e-15)


@pytest.mark.parametrize(
    "matrix, reason",
    [
        ([[1.0, 2.0], [2.0, 1.0]], "not positive definite"),
        ([[np.nan, 0.0], [0.0, 1.0]], "no inner Hessian"),
    ],
)
def test_matrices_without_a_factor(matrix, reason):
    with pytest.raises(InnerSolveError, match=reason):
        factorised(np.array(matrix))
