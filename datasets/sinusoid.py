from benchopt import BaseDataset

from benchmark_bilevel.data.sinusoid import sinusoid_tasks
from benchmark_bilevel.parameters import CheckedParameters, Integer


class Dataset(CheckedParameters, BaseDataset):
    """Few-shot regression on sine waves of random amplitude and phase.

    Parameters
    ----------
    n_tasks, n_test_tasks : int
    n_shots : int
        Points of a support, and of a query.
    seed : int

    References
    ----------
    C. Finn, P. Abbeel, S. Levine, "Model-agnostic meta-learning for fast adaptation of
    deep networks", ICML 2017.
    """

    name = "sinusoid"
    parameters = {
        "n_tasks": [2000],
        "n_test_tasks": [200],
        "n_shots": [10],
        "seed": [0],
    }
    ranges = {
        "n_tasks": Integer(at_least=2),
        "n_test_tasks": Integer(at_least=1),
        "n_shots": Integer(at_least=1),
        "seed": Integer(at_least=0),
    }

    def get_data(self):
        return sinusoid_tasks(**self._parameters)
