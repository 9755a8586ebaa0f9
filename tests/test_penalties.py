"""Methods of gradients alone: how far from the minimum their multiplier leaves them."""

import numpy as np
import pytest
from conftest import ROOT, load_plugin

from benchmark_bilevel.methods import difference_weights
from benchmark_bilevel.verification.cases import Subject, model_of, small_quadratic
from benchmark_bilevel.verification.predictions import fixed_point


@pytest.mark.parametrize("order", range(1, 9))
def test_weights_differentiate_polynomials(order):
    nodes = np.arange(order + 1.0) - order // 2
    powers = nodes ** np.arange(order + 1)[:, None]
    derivatives = np.eye(order + 1)[1]  # of t^k at 0
    weights = difference_weights(order)
    np.testing.assert_allclose(powers @ weights, derivatives, atol=1e-12 * 4**order)
    if order % 2 == 0:
        assert weights[order // 2] == 0


def bias_of(name, penalty, **parameters):
    """Distance from the minimum of h to where the declared estimate has x rest."""
    subject = Subject(load_plugin(ROOT / "solvers" / f"{name}.py").Solver)
    problem = small_quadratic()
    estimate = subject.estimate(penalty=penalty, **parameters)
    x = fixed_point(estimate, model_of(problem), 0.1)
    return np.linalg.norm(x - problem.minimiser())


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_f2sa_p_has_its_order(order):
    """`limit` holds the runs to these points; the error falls as λ^−p."""
    coarse, fine = (bias_of("f2sa_p", p, order=order) for p in (40.0, 80.0))
    assert abs(np.log2(coarse / fine) - order) < 0.2


@pytest.mark.parametrize("name", ["f2sa", "f2ba", "f3sa"])
def test_error_times_multiplier_is_constant(name):
    coarse, fine = (p * bias_of(name, p) for p in (100.0, 200.0))
    assert abs(coarse / fine - 1) < 0.1
