import numpy as np
from benchopt import BaseDataset

from benchmark_bilevel.parameters import CheckedParameters, Integer


class Dataset(CheckedParameters, BaseDataset):
    """Two classes from a logistic model in which half of the features do not matter.

    Features are Gaussian with an AR(1) correlation of 0.5.

    Parameters
    ----------
    n_samples, n_features : int
    seed : int
    """

    name = "simulated"
    parameters = {"n_samples": [3000], "n_features": [20], "seed": [0]}
    ranges = {
        "n_samples": Integer(at_least=1),
        "n_features": Integer(at_least=1),
        "seed": Integer(at_least=0),
    }

    def get_data(self):
        generator = np.random.default_rng(self.seed)
        X = generator.standard_normal((self.n_samples, self.n_features))
        for j in range(1, self.n_features):
            X[:, j] = 0.5 * X[:, j - 1] + np.sqrt(0.75) * X[:, j]
        weights = generator.standard_normal(self.n_features)
        weights[1::2] = 0
        probability = 1 / (1 + np.exp(-X @ weights))
        y = (generator.random(self.n_samples) < probability).astype(np.int64)
        return {"X_train": X, "y_train": y, "X_test": None, "y_test": None}
