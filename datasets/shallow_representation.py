from benchopt import BaseDataset

from benchmark_bilevel.problems.representation.problem import random_representation


class Dataset(BaseDataset):
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

    def get_data(self):
        return random_representation(**self._parameters)
