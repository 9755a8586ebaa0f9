"""What is said of repetitions and trials, against values found by hand or enumeration."""

from itertools import permutations
from math import inf, nan

import numpy as np
import pytest

from benchmark_bilevel.search.statistics import (
    Summary,
    expected_best,
    ranks,
    resolution,
    share_within,
    summarise,
)


def test_quantiles_are_of_the_survivors_and_the_divergences_are_counted():
    # Of 1, …, 6: the position of the quantile q is 5 q.
    found = summarise([3, nan, 1, 2, 6, 5, 4, inf])
    assert found == pytest.approx((3.5, 2.0, 5.0, 8, 2))
    nobody = summarise([nan, nan])
    assert np.isnan(nobody[:3]).all() and nobody.n_diverged == nobody.n_runs == 2


def test_ranks_where_bands_separate():
    """b overlaps both a and c, which are apart: it ties with each, and c is second."""
    summaries = {
        "c": Summary(3.0, 2.5, 3.5, 10, 0),
        "a": Summary(1.0, 0.5, 1.5, 10, 0),
        "b": Summary(2.0, 1.4, 2.6, 10, 0),
        "diverges": Summary(0.1, 0.1, 0.1, 10, 1),
        "dead": Summary(nan, nan, nan, 10, 10),
        "far": Summary(9.0, 9.0, 9.0, 10, 0),
    }
    assert ranks(summaries) == {
        "a": 1, "b": 1, "c": 2, "far": 4, "diverges": 5, "dead": 5,
    }  # fmt: skip


def test_what_lies_between_tied_ones_is_tied():
    """The narrow band of "b" is above that of "a"; the wide one of "c" is not."""
    summaries = {
        "c": Summary(3.0, 1.2, 4.0, 10, 0),
        "b": Summary(2.0, 1.9, 2.1, 10, 0),
        "a": Summary(1.0, 0.9, 1.3, 10, 0),
    }
    assert list(ranks(summaries).items()) == [("a", 1), ("b", 1), ("c", 1)]


def test_touching_bands_are_a_tie():
    summaries = {"a": Summary(1, 0.5, 1.5, 5, 0), "b": Summary(2, 1.5, 3.0, 5, 0)}
    assert ranks(summaries) == {"a": 1, "b": 1}


@pytest.mark.parametrize("ends", [(3.0, nan, 1.0, 2.0, 7.0), (2.0, 2.0, 1.0, 5.0)])
def test_expected_best_of_k_trials_against_all_orders(ends):
    orders = np.array(list(permutations(np.where(np.isnan(ends), inf, ends))))
    best = np.minimum.accumulate(orders, axis=1)
    found = expected_best(np.array(ends))
    np.testing.assert_allclose(found.mean, best.mean(axis=0), rtol=1e-12)
    quantiles = np.quantile(best, [0.5, 0.2, 0.8], axis=0, method="inverted_cdf")
    np.testing.assert_array_equal(found[1:], quantiles)


def test_share_of_the_trials_near_the_best():
    assert share_within([1e-3, 2e-3, 2.1e-3, nan, 1.0]) == 0.4
    assert share_within([nan, inf]) == 0.0


def test_resolution_is_the_widest_gap_after_the_early_part():
    assert resolution([0, 1, 4, 6, 30, 60, 100]) == 5.0
    assert resolution([0, 1, 100]) == 20.0
    assert resolution([0, 0, 0, 0.9, 10, 15, 20]) == 10.0
    assert resolution([0]) == resolution([0, 0]) == 1.0, "nothing was spent"
