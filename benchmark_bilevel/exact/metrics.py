"""From a solver's z and x to the metrics of a result row."""

import hashlib
import math
import warnings
from functools import cached_property

import numpy as np

from benchmark_bilevel.exact.published import reference_value
from benchmark_bilevel.exact.solve import Exact, InnerSolveError
from benchmark_bilevel.oracles import COUNTS
from benchmark_bilevel.solver import evaluation_points

EXACT_METRICS = ("value", "suboptimality", "hypergradient_norm", "inner_distance")
ACCURACIES = ("train_accuracy", "validation_accuracy", "test_accuracy", "test_loss")
# The evaluation of the last point that a run started from; `Evaluator._evaluate_cold`.
_last_cold_start = {}


class Evaluator:
    """Computes the metrics of points of a run.

    Parameters
    ----------
    problem : Problem
    """

    def __init__(self, problem):
        self.problem = problem
        self.exact = Exact(problem)
        self._warm_start = {}

    def metrics(self, z, x, iterations, counts, diverged, ended=False):
        """Metrics at (z, x), all plain floats; NaN where they do not exist.

        Parameters
        ----------
        z, x : arrays
        iterations : int
        counts : dict
            Oracle calls by kind.
        diverged : bool
        ended : bool
            Whether this is the last point of a run.

        Returns
        -------
        dict
            ``value`` h(x); ``suboptimality`` h(x) − h*; ``hypergradient_norm``, of the
            projected-gradient map under constraints;
            ``inner_distance`` ‖z − z*(x)‖; ``inner_loss`` g(x, z); ``outer_loss``
            f(x, z); accuracies at z and, ``_at_solution``, at z*(x); the oracle calls by
            kind and in all; ``iterations``; ``diverged`` (0 or 1). Where the problem
            caps the exact evaluations, the first four and the accuracies at z*(x) are
            NaN at the points that are left out.
        """
        z, x = np.asarray(z, float), np.asarray(x, float)
        if iterations == 0:
            # Each run starts cold, so that its metrics do not depend on other runs.
            self._warm_start = {}
        metrics = dict.fromkeys(
            (*EXACT_METRICS, "inner_loss", "outer_loss", *ACCURACIES), np.nan
        )
        metrics.update(dict.fromkeys((f"{k}_at_solution" for k in ACCURACIES), np.nan))
        finite = np.isfinite(z).all() and np.isfinite(x).all()
        if finite:
            metrics.update(self._cheap_metrics(z, x))
            if ended or self._is_exact_point(iterations):
                metrics.update(self._exact_metrics(z, x))
            if ended:
                metrics.update(self.problem.final_metrics(x))
        metrics.update({kind: float(counts.get(kind, 0)) for kind in COUNTS})
        metrics["oracle_calls"] = sum(metrics[kind] for kind in COUNTS)
        metrics["iterations"] = float(iterations)
        metrics["diverged"] = float(diverged or not finite)
        return metrics

    def _is_exact_point(self, iterations):
        """Whether the exact metrics are due, as they are at the end of a run anyway."""
        return self._exact_points is None or iterations in self._exact_points

    @cached_property
    def _reference(self):
        return reference_value(self.problem)

    @cached_property
    def _exact_points(self):
        """Iterations that `max_exact_evaluations` leaves; None if all.

        Evenly spread over the evaluation points of a run of a million iterations.
        """
        limit = self.problem.max_exact_evaluations
        if limit is None:
            return None
        points = [0, *evaluation_points(10**6)]
        return set(points[:: math.ceil(len(points) / limit)])

    def _cheap_metrics(self, z, x):
        with np.errstate(over="ignore", invalid="ignore"):
            return {
                "inner_loss": self.exact.losses.inner_value(z, x),
                "outer_loss": self.exact.losses.outer_value(z, x),
                **self.problem.accuracies(z),
                **self.problem.outer_metrics(x),
            }

    def _exact_metrics(self, z, x):
        try:
            if self._warm_start:
                exact = self.exact.evaluate(x, **self._warm_start)
            else:
                exact = self._evaluate_cold(x)
        except InnerSolveError as error:
            warnings.warn(f"{self.problem.name}: {error}", RuntimeWarning, stacklevel=2)
            return {}
        self._warm_start = {"z": exact.z, "v": exact.v}
        at_solution = self.problem.accuracies(exact.z)
        return {
            "value": exact.value,
            "suboptimality": exact.value - self._reference,
            "hypergradient_norm": self._map_norm(x, exact.hypergradient),
            "inner_distance": float(np.linalg.norm(z - exact.z)),
            **{f"{name}_at_solution": value for name, value in at_solution.items()},
        }

    def _evaluate_cold(self, x):
        """`Exact.evaluate`, remembered: all runs have their first point in common.

        A cold start takes longer than any other point (17 s instead of 3 s on covtype).
        """
        point = self.problem.fingerprint, hashlib.sha256(x).digest()
        if point not in _last_cold_start:
            self.exact.forget()
            evaluation = self.exact.evaluate(x)
            _last_cold_start.clear()
            _last_cold_start[point] = evaluation
        self.exact.forget()
        return _last_cold_start[point]

    def _map_norm(self, x, gradient):
        """‖x − P(x − α gradient)‖ / α, which is ‖gradient‖ without constraints."""
        if self.problem.project is not None:
            import torch  # takes seconds

            step = self.problem.projection_step
            moved = self.problem.project(torch.from_numpy(x - step * gradient))
            gradient = (x - moved.numpy()) / step
        return float(np.linalg.norm(gradient))
