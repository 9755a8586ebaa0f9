import numpy as np
from benchopt import BaseDataset

from benchmark_bilevel.parameters import CheckedParameters, Integer


class Dataset(CheckedParameters, BaseDataset):
    """Tasks of regression on sine waves of random amplitude and phase.

    Inputs are uniform in [−5, 5], amplitudes in [0.1, 5], phases in [0, π]; inputs and
    targets are divided by 5.

    Parameters
    ----------
    n_tasks, n_test_tasks : int
    n_shots : int
        Points of a task's support, and of its query.
    seed : int

    References
    ----------
    C. Finn, P. Abbeel, S. Levine, "Model-agnostic meta-learning for fast adaptation of
    deep networks", ICML 2017, section 5.1.
    """

    name = "sinusoid"
    parameters = {
        "n_tasks": [2000],
        "n_test_tasks": [200],
        "n_shots": [10],
        "seed": [0],
    }
    ranges = {
        "n_tasks": Integer(at_least=2),
        "n_test_tasks": Integer(at_least=1),
        "n_shots": Integer(at_least=1),
        "seed": Integer(at_least=0),
    }

    def get_data(self):
        generator = np.random.default_rng(self.seed)
        data = self._tasks(generator, self.n_tasks)
        test = self._tasks(generator, self.n_test_tasks)
        return data | {f"test_{name}": array for name, array in test.items()}

    def _tasks(self, generator, n_tasks):
        amplitude = generator.uniform(0.1, 5, (n_tasks, 1, 1))
        phase = generator.uniform(0, np.pi, (n_tasks, 1, 1))
        tasks = {}
        for part in ("support", "query"):
            inputs = generator.uniform(-5, 5, (n_tasks, self.n_shots, 1))
            tasks[part] = inputs / 5
            tasks[f"{part}_targets"] = amplitude * np.sin(inputs - phase) / 5
        return tasks
