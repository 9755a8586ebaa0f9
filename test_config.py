"""What benchopt's conformity tests need to know (``benchopt test .``)."""

import pytest


def check_test_dataset_get_data(benchmark, dataset_class):
    from benchmark_bilevel.data.sources import SOURCES

    if dataset_class.name in SOURCES:
        # benchopt's conformity test calls get_data, which would need the network.
        pytest.skip("downloads: its own tests are in tests/test_data.py")
