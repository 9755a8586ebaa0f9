from benchopt import BaseDataset

from benchmark_bilevel.parameters import CheckedParameters, Integer, Number
from benchmark_bilevel.problems.representation.problem import random_representation


class Dataset(CheckedParameters, BaseDataset):
    """Regression on a random linear representation: y = X H w + noise, all normal.

    Parameters
    ----------
    n_samples : int
        Number of inner, of outer and of test samples.
    n_features, n_hidden : int
        Shape of H.
    noise : float
    seed : int
    """

    name = "shallow_representation"
    parameters = {
        "n_samples": [500],
        "n_features": [64],
        "n_hidden": [128],
        "noise": [0.1],
        "seed": [0],
    }
    ranges = {
        "n_samples": Integer(at_least=1),
        "n_features": Integer(at_least=1),
        "n_hidden": Integer(at_least=1),
        "noise": Number(at_least=0),
        "seed": Integer(at_least=0),
    }

    def get_data(self):
        return random_representation(**self._parameters)
