from benchopt import BaseDataset

from benchmark_bilevel.parameters import CheckedParameters, Integer, Number
from benchmark_bilevel.problems.tasks.ridge import random_tasks


class Dataset(CheckedParameters, BaseDataset):
    """Linear regressions whose true weights are spread about a common centre.

    Parameters
    ----------
    n_tasks : int
    n_samples : int
        Of g and of f in each task.
    dim : int
        Number of features.
    spread : float
        Standard deviation of the tasks' true weights about the centre.
    noise : float
        Standard deviation of the targets' noise.
    seed : int
    """

    name = "multi_task_ridge"
    parameters = {
        "n_tasks": [200],
        "n_samples": [20],
        "dim": [10],
        "spread": [0.5],
        "noise": [0.3],
        "seed": [0],
    }
    ranges = {
        "n_tasks": Integer(at_least=2),
        "n_samples": Integer(at_least=1),
        "dim": Integer(at_least=1),
        "spread": Number(at_least=0),
        "noise": Number(at_least=0),
        "seed": Integer(at_least=0),
    }

    def get_data(self):
        return random_tasks(**self._parameters)
