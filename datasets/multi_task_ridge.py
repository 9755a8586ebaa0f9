from benchopt import BaseDataset

from benchmark_bilevel.parameters import CheckedParameters, Integer
from benchmark_bilevel.problems.tasks.ridge import random_tasks


class Dataset(CheckedParameters, BaseDataset):
    """Random regression tasks whose true weights scatter about a common centre.

    Parameters
    ----------
    n_tasks, n_samples, dim : int
        Tasks; samples of g and of f in each; features.
    seed : int
    """

    name = "multi_task_ridge"
    parameters = {"n_tasks": [200], "n_samples": [20], "dim": [10], "seed": [0]}
    ranges = {
        "n_tasks": Integer(at_least=1),
        "n_samples": Integer(at_least=1),
        "dim": Integer(at_least=1),
        "seed": Integer(at_least=0),
    }

    def get_data(self):
        return random_tasks(**self._parameters)
