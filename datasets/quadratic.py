import click
from benchopt import BaseDataset

from benchmark_bilevel.parameters import CheckedParameters, Integer, Number
from benchmark_bilevel.problems.quadratic.problem import random_quadratic


class Dataset(CheckedParameters, BaseDataset):
    """Random bilevel quadratics with prescribed spectra.

    Parameters
    ----------
    n_samples, n_outer_samples : int
        Numbers of inner and of outer samples, at least the dimensions.
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
    ranges = {
        "n_samples": Integer(at_least=1),
        "n_outer_samples": Integer(at_least=1),
        "dim_inner": Integer(at_least=1),
        "dim_outer": Integer(at_least=1),
        # From 1e12 on the closed forms have no digits left.
        "condition": Number(at_least=1, at_most=1e12),
        "outer_condition": Number(at_least=1, at_most=1e12),
        "seed": Integer(at_least=0),
    }

    @classmethod
    def get_instance(cls, **parameters):
        dataset = super().get_instance(**parameters)
        for samples, dimension in (
            ("n_samples", "dim_inner"),
            ("n_outer_samples", "dim_outer"),
        ):
            n, dim = getattr(dataset, samples), getattr(dataset, dimension)
            if n < dim:
                raise click.UsageError(
                    f"{cls.name}: {samples}={n} is below {dimension}={dim}: minima "
                    "would not be unique; give at least as many samples."
                )
        return dataset

    def get_data(self):
        return random_quadratic(**self._parameters)
