import gc
import sys
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # a clone is used uninstalled

from benchopt import BaseObjective

# First, as archives need no more; then a line on what is not installed.
from benchmark_bilevel import plugin_files, prerequisites  # noqa: F401
from benchmark_bilevel.data import Inadmissible
from benchmark_bilevel.data.dataset import arrays_of, content_digest
from benchmark_bilevel.ends import AnyEnds
from benchmark_bilevel.exact.metrics import FINAL, NEVER, Evaluator
from benchmark_bilevel.exact.published import lack_of_reference, reference_value
from benchmark_bilevel.faults import line_of
from benchmark_bilevel.fingerprint import fingerprint
from benchmark_bilevel.folders import move_cache, require_outputs
from benchmark_bilevel.notices import Fault, say_once
from benchmark_bilevel.parameters import CheckedParameters, Integer
from benchmark_bilevel.problems import PROBLEMS, load_problem, problem_name
from benchmark_bilevel.provenance import provenance
from benchmark_bilevel.terminal import tame
from benchmark_bilevel.workers import end_with_parent

tame()
move_cache(Path(__file__).parent)
end_with_parent()


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
    # Names that pip and conda's pip take alike: pyproject.toml's, without versions.
    requirements = [
        "pip::click",
        "pip::filelock",
        "pip::jinja2",
        "pip::joblib",
        "pip::latex2mathml",
        "pip::libsvmdata",
        "pip::matplotlib",
        "pip::mistune",
        "pip::numba",
        "pip::numpy",
        "pip::pandas",
        "pip::plotly",
        "pip::pooch",
        "pip::pygments",
        "pip::scikit-learn",
        "pip::scipy",
        "pip::threadpoolctl",
        "pip::torch",
        "pip::tqdm",
    ]
    sampling_strategy = "callback"
    stopping_criterion = AnyEnds()
    test_config = {"problem": "quadratic", "dataset": {"name": "quadratic"}}

    _state = None

    parameters = {
        "problem": [
            "hyperparameter-selection",
            "data-hypercleaning",
            "deep-hypercleaning",
            "data-poisoning",
            "dataset-distillation",
            "hyper-representation",
            "equilibrium",
            "few-shot",
            "multi-task-ridge",
            "quadratic",
        ],
        "split_seed": [None],
        # Each for the problems that use it; any other value than these defaults is
        # refused by the others.
        "corruption": [0.5],
        "protocol": ["default"],
        "parametrisation": ["default"],
        "constraint": ["l2-then-box"],
        "normalisation": ["per-task"],
        # Of h before the end of a run, where there is one more; None is as many as the
        # problem affords, "final" none but what else it measures at the end, "never"
        # not even that.
        "exact_evaluations": [None],
    }

    ranges = {
        "problem": problem_name,
        "split_seed": Integer(at_least=0, at_most=2**32 - 1, also=(None,)),
        "exact_evaluations": Integer(at_least=0, also=(None, FINAL, NEVER)),
    }

    def invalid(self):
        return load_problem(self.problem).invalid(**self._parameters)

    @classmethod
    def is_installed(cls, *arguments, **options):
        # The question with which `benchopt run` begins, before it writes anything.
        require_outputs(cls._benchmark_dir)
        return super().is_installed(*arguments, **options)

    def _get_state(self):
        # What benchopt hashes: no result of edited package code is reused, none on data
        # that have been replaced since, and none that was measured against another
        # reference minimum.
        return self._state

    def __setstate__(self, state):
        self._state = state

    def skip(self, missing=None, **data):
        problem = load_problem(self.problem)
        reason = missing or self._unused_parameter(problem)
        if reason is None:
            try:
                posed = self._pose(problem, data)
                if self.problem not in PROBLEMS:  # those would split their data
                    posed.initial_point()
            except Inadmissible as refusal:
                reason = str(refusal)
            except Exception as error:  # of a user's problem; the others go on
                reason = line_of(error)
        return reason is not None, reason

    def _pose(self, problem, data):
        """An instance of the class `problem`."""
        options = {name: getattr(self, name) for name in problem.options}
        return problem(problem.admit(data), split_seed=self.split_seed, **options)

    def _unused_parameter(self, problem):
        for name, (default, *_) in self.parameters.items():
            value = getattr(self, name)
            # Those with a range are of all problems.
            unused = name not in self.ranges and name not in problem.options
            if unused and value != default:
                return f"{problem.name} does not use {name}={value}"
        return None

    def _set_dataset(self, dataset):
        # benchopt calls get_data where an error would end the whole run.
        arrays_of(dataset)
        skip, reason = super()._set_dataset(dataset)
        if skip and self._state is not None:
            # It fitted where the run was sent from, and benchopt would keep a skip.
            raise Fault(f"in this worker, not where the run comes from: {reason}")
        return skip, reason

    def set_data(self, **data):
        self.bilevel_problem = self._pose(load_problem(self.problem), data)
        self.evaluator = Evaluator(self.bilevel_problem, self.exact_evaluations)
        if self._state is not None:  # in a worker, which gets it
            if self._state["fingerprint"] != fingerprint():
                raise Fault(
                    "this worker has loaded other code than the process that sends it "
                    "runs: start the worker again"
                )
            # One h* for all runs, also if another is saved meanwhile.
            vars(self.evaluator)["_reference"] = self._state["reference"]
        else:
            self._state = {
                "fingerprint": fingerprint(),
                "libraries": [version(name) for name in ("scipy", "scikit-learn")],
                "reference": reference_value(self.bilevel_problem),
                "data": content_digest(data),
            }
            if self.problem not in PROBLEMS:
                self._state["source"] = plugin_files.digest(self.problem)
            self._say_lack_of_reference()

    def _say_lack_of_reference(self):
        lack = lack_of_reference(self.bilevel_problem)
        if lack is not None and self._dataset is not None:
            name, file = self._dataset.name, self._dataset._module_filename
            own = Path(file).parent == self._dataset._benchmark_dir / "datasets"
            pattern = str(self._dataset).replace(name, name if own else str(file), 1)
            say_once(
                f"{self.problem} on {name}: no reference minimum, so that suboptimality "
                f"is empty; {lack} (`python -m benchmark_bilevel reference -d "
                f"'{pattern}' -o '{self}'`)."
            )

    def get_objective(self):
        return {"problem": self.bilevel_problem}

    def evaluate_result(self, z, x, **facts):
        return self.evaluator.metrics(z, x, **facts)

    def get_one_result(self):
        z, x = self.bilevel_problem.initial_point()
        return {"z": z, "x": x}

    def save_final_results(self, z, x, **_):
        results = self.bilevel_problem.final_results(z, x)
        # benchopt keeps every objective until its command ends.
        self.evaluator.forget()
        self.bilevel_problem.forget()
        gc.collect()  # a runtime holds itself; Python does not see how large tensors are
        return {**results, "provenance": provenance()}
