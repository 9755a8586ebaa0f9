"""From a solver's z and x to the metrics of a result row."""

import hashlib
import warnings
from functools import cached_property

import numpy as np

from benchmark_bilevel.ends import ENDS, has_norm
from benchmark_bilevel.exact import InnerSolveError, exact_of
from benchmark_bilevel.exact.feasible import projected
from benchmark_bilevel.exact.published import reference_value
from benchmark_bilevel.notices import Fault, say_once
from benchmark_bilevel.oracles import COUNTS
from benchmark_bilevel.parameters import LARGEST
from benchmark_bilevel.points import evaluation_points

EXACT_METRICS = (
    *("value", "value_error", "suboptimality", "hypergradient_norm", "inner_distance"),
)
# No evaluation of h: with the problem's own metrics at the end of a run, or without.
FINAL, NEVER = "final", "never"
ACCURACIES = ("train_accuracy", "validation_accuracy", "test_accuracy", "test_loss")
# The evaluation points in their order, and how many a run of a million iterations has.
POINTS = {point: k for k, point in enumerate((0, *evaluation_points(LARGEST)))}
USUAL_POINTS = 1 + POINTS[10**6]
# The evaluation of the last point that a run started from; `Evaluator._evaluate_cold`.
_last_cold_start = {}


class Evaluator:
    """Computes the metrics of points of a run.

    Parameters
    ----------
    problem : Problem
    exact_evaluations : int or {"final", "never"}, optional
        Evaluations of h in a run, before its end, evenly spread over its points. The
        problem's `max_exact_evaluations` if left out.
    """

    def __init__(self, problem, exact_evaluations=None):
        self.problem = problem
        self._when = exact_evaluations
        if exact_evaluations is None:
            self._when = problem.max_exact_evaluations
        self._warm_start = {}
        self._has_warned = False

    @cached_property
    def exact(self):
        """The exact evaluation of the problem."""
        return exact_of(self.problem)

    def forget(self):
        """Drop what a run has left; the next one builds it again."""
        vars(self).pop("exact", None)
        self._warm_start = {}

    def metrics(
        self,
        z,
        x,
        iterations=None,
        counts=None,
        diverged=None,
        ended=None,
        row_bytes=None,
        expected_points=None,
    ):
        """Metrics at (z, x), all floats but ``end``; NaN where they do not exist.

        Parameters
        ----------
        z, x : arrays
            z is None where a problem is made of tasks and their rows are not kept:
            nothing is known at z then.
        iterations : int, optional
            Who does not tell gets exact metrics at every point.
        counts : dict, optional
            Oracle calls by kind; none of the kinds that are left out, unless all are.
        diverged : bool, optional
            Whether a variable has no norm (`has_norm`); z and x count in any case.
        ended : str or bool, optional
            What ended the run if this is its last point: one of `ENDS`, or True, which
            is a divergence if `diverged`, else the end of a budget.
        row_bytes : int, optional
            Memory of the rows that are kept of tasks, which is a metric itself.
        expected_points : int, optional
            How many points the run will have; as many as one of a million iterations if
            nobody knows.

        Returns
        -------
        dict
            ``value`` h(x); ``value_error``, a bound of its error (`exact.solve`);
            ``suboptimality`` h(x) − h*; ``hypergradient_norm``, of the
            projected-gradient map under constraints; ``inner_distance`` ‖z − z*(x)‖;
            ``inner_loss`` g(x, z); ``outer_loss`` f(x, z); accuracies at z and,
            ``_at_solution``, at z*(x); the oracle calls by kind and in all;
            ``iterations``; ``diverged`` (0 or 1); ``end``, which is `ended`. Where the
            problem caps the exact evaluations, `EXACT_METRICS` and the accuracies at
            z*(x) are NaN at the points that are left out; so they are where h cannot be
            found, for a reason that is logged once a run.
        """
        if isinstance(ended, bool):
            ended = ("diverged" if diverged else "budget") if ended else None
        if ended is not None and ended not in ENDS:
            raise Fault(f"ended={ended!r} is none of {', '.join(ENDS)} and not None")
        x = _vector("x", x, self.problem.dim_x)
        if z is not None or not self.problem.made_of_tasks:
            z = _vector("z", z, self.problem.dim_z)
        if not iterations:
            # Each run starts cold, so that its metrics do not depend on other runs.
            self._warm_start, self._has_warned = {}, False
        metrics = dict.fromkeys(
            (*EXACT_METRICS, "inner_loss", "outer_loss", *ACCURACIES), np.nan
        )
        metrics.update(dict.fromkeys((f"{k}_at_solution" for k in ACCURACIES), np.nan))
        finite = all(has_norm(y) for y in (z, x) if y is not None)
        if finite:
            metrics.update(self._cheap_metrics(z, x))
            if self._is_exact_point(iterations, ended, expected_points):
                metrics.update(self._exact_metrics(z, x))
            if ended is not None and self._when != NEVER:
                metrics.update(self.problem.final_metrics(x))
        counts = counts or {}
        missing = 0 if counts.keys() & set(COUNTS) else np.nan
        metrics.update({kind: float(counts.get(kind, missing)) for kind in COUNTS})
        metrics["oracle_calls"] = sum(metrics[kind] for kind in COUNTS)
        metrics["iterations"] = np.nan if iterations is None else float(iterations)
        metrics["diverged"] = float(bool(diverged) or not finite)
        metrics["row_bytes"] = np.nan if row_bytes is None else float(row_bytes)
        metrics["end"] = ended
        return metrics

    def _is_exact_point(self, iterations, ended, expected_points=None):
        """Whether the exact metrics are due."""
        if self._when in (FINAL, NEVER):
            return False
        if self._when is None or iterations is None or ended is not None:
            return True
        k, n_points = POINTS.get(iterations), expected_points or USUAL_POINTS
        if k is None or self._when >= n_points:
            return k is not None
        return k * self._when // n_points > (k - 1) * self._when // n_points

    @cached_property
    def _reference(self):
        return reference_value(self.problem)

    def _cheap_metrics(self, z, x):
        with np.errstate(over="ignore", invalid="ignore"):
            of_x = self.problem.outer_metrics(x)
            if z is None:
                return of_x
            return {
                "inner_loss": self.exact.losses.inner_value(z, x),
                "outer_loss": self.exact.losses.outer_value(z, x),
                **self.problem.accuracies(z, x),
                **of_x,
            }

    def _exact_metrics(self, z, x):
        if self.problem.h_unknown is not None:
            say_once(
                f"{self.problem.name}: {self.problem.h_unknown}; there are no metrics "
                "that need h or z*(x)."
            )
            return {}
        try:
            if self._warm_start:
                exact = self.exact.evaluate(x, **self._warm_start)
            else:
                exact = self._evaluate_cold(x)
        except InnerSolveError as error:
            self._warn(str(error))
            return {}
        if not np.isfinite(exact.hypergradient).all():
            self._warn("∇h is unknown, its linear system could not be solved")
        self._warm_start = {"z": exact.z, "v": exact.v}
        at_solution = self.problem.accuracies(exact.z, x)
        distance = np.nan if z is None else float(np.linalg.norm(z - exact.z))
        return {
            "value": exact.value,
            "value_error": exact.error,
            "suboptimality": exact.value - self._reference,
            "hypergradient_norm": self._map_norm(x, exact.hypergradient),
            "inner_distance": distance,
            **{f"{name}_at_solution": value for name, value in at_solution.items()},
        }

    def _warn(self, reason):
        if not self._has_warned:
            self._has_warned = True
            text = (
                f"{self.problem.name}: {reason}; this run's later reasons are not told"
            )
            warnings.warn(text, RuntimeWarning, stacklevel=3)

    def _evaluate_cold(self, x):
        """`Exact.evaluate`, remembered: all runs have their first point in common.

        A cold start takes longer than any other point (17 s instead of 3 s on covtype).
        """
        problem = self.problem
        # The fingerprint leaves out what a reference has in common, as exp and lin do.
        options = tuple(getattr(problem, name) for name in problem.options)
        digest = hashlib.sha256(x).digest()
        point = type(problem), options, problem.fingerprint, digest
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
            step = self.problem.projection_step
            gradient = (x - projected(self.problem, x - step * gradient)) / step
        return float(np.linalg.norm(gradient))


def _vector(name, y, dim):
    """`y` as a float64 vector of `dim` numbers; `Fault` if it is none."""
    try:
        y = np.asarray(y, float)
    except (TypeError, ValueError) as error:
        raise Fault(f"the result's {name} is no array of numbers ({error})") from None
    if y.shape != (dim,):
        raise Fault(f"the result's {name} has shape {y.shape}, the problem's ({dim},)")
    return y
