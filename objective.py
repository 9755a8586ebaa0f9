from pathlib import Path

import numpy as np
from benchopt import BaseObjective

from benchmark_bilevel.data import Inadmissible
from benchmark_bilevel.data.dataset import arrays_of
from benchmark_bilevel.ends import AnyEnds
from benchmark_bilevel.exact.metrics import Evaluator
from benchmark_bilevel.fingerprint import fingerprint
from benchmark_bilevel.parameters import CheckedParameters, Integer
from benchmark_bilevel.problems import PROBLEMS, load_problem, problem_name
from benchmark_bilevel.provenance import provenance
from benchmark_bilevel.terminal import tame

tame()


class Objective(CheckedParameters, BaseObjective):
    """Stochastic bilevel optimisation: min_x h(x) = f(x, z*(x)).

    z*(x) = argmin_z g(x, z), f and g are means over many samples. Suboptimality is
    h(x) − h*, with h solved exactly at each point and h* a reference minimum computed
    by a deterministic solver.
    """

    name = "Bilevel"
    # benchopt takes the last part of it for the benchmark's name; pages link to the
    # address of the checkout's origin, or of `site --url`.
    url = "benchmark_bilevel"
    min_benchopt_version = "1.10"
    python_version = "3.11"
    requirements = ["pip::."]
    sampling_strategy = "callback"
    stopping_criterion = AnyEnds()
    test_config = {
        "problem": "hyperparameter-selection",
        "dataset": {"name": "breast_cancer"},
    }

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

    ranges = {
        "problem": problem_name,
        "split_seed": Integer(at_least=0, at_most=2**32 - 1, also=(None,)),
    }

    def invalid(self):
        return load_problem(self.problem).invalid(**self._parameters)

    def _get_state(self):
        # What benchopt hashes: results of edited code are never reused.
        state = {"fingerprint": fingerprint()}
        if self.problem not in PROBLEMS:
            state["source"] = Path(self.problem).read_text()
        return state

    def __setstate__(self, state):
        """The state is for the hash only."""

    def skip(self, missing=None, **data):
        problem = load_problem(self.problem)
        reason = missing or self._unused_parameter(problem)
        if reason is None:
            try:
                problem.admit(data)
            except Inadmissible as refusal:
                reason = str(refusal)
        return reason is not None, reason

    def _unused_parameter(self, problem):
        for name in ("corruption", "parametrisation", "constraint"):
            value, default = getattr(self, name), self.parameters[name][0]
            if name not in problem.options and value != default:
                return f"{problem.name} does not use {name}={value}"
        return None

    def _set_dataset(self, dataset):
        # benchopt calls get_data where an error would end the whole run.
        arrays_of(dataset)
        return super()._set_dataset(dataset)

    def set_data(self, **data):
        problem = load_problem(self.problem)
        options = {name: getattr(self, name) for name in problem.options}
        self.bilevel_problem = problem(
            problem.admit(data), split_seed=self.split_seed, **options
        )
        self.evaluator = Evaluator(self.bilevel_problem)

    def get_objective(self):
        return {"problem": self.bilevel_problem}

    def evaluate_result(
        self, z, x, iterations=None, counts=None, diverged=None, ended=None
    ):
        return self.evaluator.metrics(z, x, iterations, counts, diverged, ended)

    def get_one_result(self):
        z, x = self.bilevel_problem.initial_point()
        return {"z": z, "x": x}

    def save_final_results(self, z, x, **_):
        # The result file holds this for every run: no images, no word weights.
        small = {k: y for k, y in (("z", z), ("x", x)) if np.size(y) <= 1000}
        return {**small, "provenance": provenance()}
