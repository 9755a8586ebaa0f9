import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # a clone is used uninstalled

import click
from benchopt import BaseObjective
from benchopt.stopping_criterion import NoCriterion

import benchmark_bilevel.plugin_files  # noqa: F401  (first: archives need no more)
from benchmark_bilevel.exact.metrics import Evaluator
from benchmark_bilevel.exact.published import lack_of_reference, reference_value
from benchmark_bilevel.fingerprint import fingerprint
from benchmark_bilevel.folders import move_cache, require_outputs
from benchmark_bilevel.notices import say_once
from benchmark_bilevel.problems import PROBLEMS
from benchmark_bilevel.provenance import provenance
from benchmark_bilevel.workers import end_with_parent

move_cache(Path(__file__).parent)
end_with_parent()


class Objective(BaseObjective):
    """Stochastic bilevel optimisation: min_x h(x) = f(x, z*(x)).

    z*(x) = argmin_z g(x, z), f and g are means over many samples. Suboptimality is
    h(x) − h*, with h solved exactly at each point and h* a reference minimum computed
    by a deterministic solver.
    """

    name = "Bilevel"
    url = "https://github.com/benchopt/benchmark_bilevel"
    min_benchopt_version = "1.10"
    python_version = "3.11"
    # Names that pip and conda's pip take alike: pyproject.toml's, without versions.
    requirements = [
        "pip::click",
        "pip::filelock",
        "pip::jinja2",
        "pip::libsvmdata",
        "pip::matplotlib",
        "pip::numba",
        "pip::numpy",
        "pip::pandas",
        "pip::plotly",
        "pip::pooch",
        "pip::scikit-learn",
        "pip::scipy",
        "pip::threadpoolctl",
        "pip::torch",
        "pip::tqdm",
    ]
    sampling_strategy = "callback"
    stopping_criterion = NoCriterion(strategy="callback")
    test_config = {
        "problem": "hyperparameter-selection",
        "dataset": {"name": "breast_cancer"},
    }

    _state = None

    parameters = {
        "problem": [
            "hyperparameter-selection",
            "data-hypercleaning",
            "data-poisoning",
            "quadratic",
        ],
        "split_seed": [None],
        # Each for the problems that use it; any other value than these defaults is
        # refused by the others.
        "corruption": [0.5],
        "parametrisation": ["default"],
        "constraint": ["l2-then-box"],
    }

    @classmethod
    def get_instance(cls, **parameters):
        objective = super().get_instance(**parameters)
        if objective.problem not in PROBLEMS:
            raise click.UsageError(
                f"problem={objective.problem!r} is not known; "
                f"expected one of {', '.join(PROBLEMS)}."
            )
        seed = objective.split_seed
        if seed is not None and not (isinstance(seed, int) and 0 <= seed < 2**32):
            raise click.UsageError(f"split_seed={seed!r} is not an integer ≥ 0.")
        reason = PROBLEMS[objective.problem].invalid(**parameters)
        if reason is not None:
            raise click.UsageError(reason)
        return objective

    @classmethod
    def is_installed(cls, *arguments, **options):
        # The question with which `benchopt run` begins, before it writes anything.
        require_outputs(cls._benchmark_dir)
        return super().is_installed(*arguments, **options)

    def _get_state(self):
        # What benchopt hashes: no result of edited package code is reused, and none that
        # was measured against another reference minimum.
        return self._state

    def __setstate__(self, state):
        self._state = state

    def skip(self, missing=None, **data):
        problem = PROBLEMS[self.problem]
        reason = missing or self._unused_parameter(problem) or problem.unfit(data)
        return reason is not None, reason

    def _unused_parameter(self, problem):
        for name in ("corruption", "parametrisation", "constraint"):
            value, default = getattr(self, name), self.parameters[name][0]
            if name not in problem.options and value != default:
                return f"{problem.name} does not use {name}={value}"
        return None

    def set_data(self, **data):
        problem = PROBLEMS[self.problem]
        options = {name: getattr(self, name) for name in problem.options}
        self.bilevel_problem = problem(data, split_seed=self.split_seed, **options)
        self.evaluator = Evaluator(self.bilevel_problem)
        if self._state is None:  # not in the workers, which get it
            self._state = {
                "fingerprint": fingerprint(),
                "reference": reference_value(self.bilevel_problem),
            }
            self._say_lack_of_reference()

    def _say_lack_of_reference(self):
        lack = lack_of_reference(self.bilevel_problem)
        if lack is not None:
            name = self._dataset.name if self._dataset else "these data"
            say_once(
                f"{self.problem} on {name}: no reference minimum, so that suboptimality "
                f"is empty; {lack} (`python -m benchmark_bilevel reference -d {name}`)."
            )

    def get_objective(self):
        return {"problem": self.bilevel_problem}

    def evaluate_result(self, z, x, iterations, counts, diverged, ended=False):
        return self.evaluator.metrics(z, x, iterations, counts, diverged, ended)

    def get_one_result(self):
        z, x = self.bilevel_problem.initial_point()
        return {"z": z, "x": x, "iterations": 0, "counts": {}, "diverged": False}

    def save_final_results(self, z, x, **_):
        # The result file holds this for every run: no images, no word weights.
        small = {k: y for k, y in (("z", z), ("x", x)) if y.size <= 1000}
        return {**small, "provenance": provenance()}
