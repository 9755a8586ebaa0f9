"""The columns of a result file that figures and tables show: names, scales, aims."""

from typing import NamedTuple

import numpy as np


class Metric(NamedTuple):
    """A column of the result file, and how to show it."""

    column: str
    title: str
    better: str = "↓"  # or "↑"
    scale: str = "loglog"

    @property
    def axis(self):
        """What a vertical axis is labelled with."""
        return f"{self.title}\n{self.better} better"

    @property
    def line(self):
        """What a horizontal axis or a column is labelled with."""
        return f"{self.title}  {self.better} better"


METRICS = {
    "suboptimality": Metric("objective_suboptimality", "suboptimality h(x) − h*"),
    "hypergradient_norm": Metric(
        "objective_hypergradient_norm", "hypergradient ‖∇h(x)‖"
    ),
    "inner_distance": Metric("objective_inner_distance", "inner distance ‖z − z*(x)‖"),
    "test_accuracy": Metric(
        "objective_test_accuracy", "test accuracy of z", "↑", "semilog-x"
    ),
    "test_loss": Metric("objective_test_loss", "test loss of z", scale="semilog-x"),
    "value": Metric("objective_value", "value function h(x)", scale="semilog-x"),
}
# What a problem may measure besides, mostly at the end of a run.
FURTHER = {
    "test_accuracy_at_solution": Metric(
        "objective_test_accuracy_at_solution", "test accuracy of z*(x)", "↑"
    ),
    "corrupted_auc": Metric(
        "objective_corrupted_auc", "wrong labels found: AUC of −x", "↑"
    ),
    "retrained_validation_accuracy": Metric(
        "objective_retrained_validation_accuracy", "retrained: validation accuracy"
    ),
    "retrained_test_accuracy": Metric(
        "objective_retrained_test_accuracy", "retrained: test accuracy"
    ),
}
# An attacker's aim is the reverse of everybody else's.
ATTACKER = {
    "value": METRICS["value"]._replace(title="h(x) = −validation loss"),
    "test_accuracy": METRICS["test_accuracy"]._replace(better="↓"),
    "test_accuracy_at_solution": FURTHER["test_accuracy_at_solution"]._replace(
        better="↓"
    ),
    "test_loss": METRICS["test_loss"]._replace(better="↑"),
}
AXES = {
    "seconds": ("time", "solver time [s]"),
    "oracle calls": ("objective_oracle_calls", "oracle calls [per-sample evaluations]"),
}


def metric_on(results, problem, name):
    """The metric `name` of `METRICS` or `FURTHER` as `problem` has it.

    Where h falls to less than a hundredth of its start, its axis is logarithmic.

    Parameters
    ----------
    results : DataFrame
        With the columns of `results.prepare`.
    problem, name : str
    """
    own = results["problem"] == problem
    metric = {**METRICS, **FURTHER}[name]
    if (results["kind"][own] == "data-poisoning").any():
        return ATTACKER.get(name, metric)
    if name == "value":
        values = results[metric.column][own]
        start = values[results["objective_iterations"][own] == 0].median()
        if 0 < values.min() < start / 100:
            return metric._replace(scale="loglog")
    return metric


def known(rows, metrics):
    """Those names of `metrics` (a dict of `Metric`) that have a value in `rows`."""
    return [
        name
        for name, metric in metrics.items()
        if np.isfinite(rows[metric.column]).any()
    ]
