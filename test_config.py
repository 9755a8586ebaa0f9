"""What benchopt's conformity tests need to know (``benchopt test .``)."""

import pytest

OFFLINE_DATASETS = (
    "breast_cancer",
    "digits",
    "glyphs",
    "multi_task_ridge",
    "quadratic",
    "simulated",
    "sinusoid",
)


def check_test_dataset_get_data(benchmark, dataset_class):
    if dataset_class.name not in OFFLINE_DATASETS:
        # benchopt's conformity test calls get_data, which would need the network.
        pytest.skip("downloads: its own tests are in tests/test_data.py")
