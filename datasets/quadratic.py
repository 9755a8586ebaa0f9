from benchopt import BaseDataset

from benchmark_bilevel.problems.quadratic.problem import random_quadratic


class Dataset(BaseDataset):
    """Random bilevel quadratics with prescribed spectra.

    Parameters
    ----------
    n_samples, n_outer_samples : int
        Numbers of inner and of outer samples.
    dim_inner, dim_outer : int
    condition, outer_condition : float
        Condition numbers of the inner Hessian and of the value function's Hessian.
    seed : int
    """

    name = "quadratic"
    parameters = {
        "n_samples": [1000],
        "n_outer_samples": [500],
        "dim_inner": [20],
        "dim_outer": [10],
        "condition": [10.0],
        "outer_condition": [10.0],
        "seed": [0],
    }

    def get_data(self):
        return random_quadratic(**self._parameters)
