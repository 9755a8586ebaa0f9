"""Hyper-parameter selection: ℓ2-regularised logistic regression."""

from functools import cached_property

import numpy as np

from benchmark_bilevel.problems import selection_kernels
from benchmark_bilevel.problems.base import Problem
from benchmark_bilevel.problems.classification import Split, stratified_thirds


class HyperparameterSelection(Problem):
    """One regularisation parameter a feature, chosen by the loss on the outer samples.

        g(z, x) = 1/n Σ_i log(1 + exp(−y_i a_iᵀz)) + ½ Σ_j exp(x_j) z_j²
        f(z, x) = 1/m Σ_i log(1 + exp(−y'_i a'_iᵀz))

    with labels y = ±1. h has an infimum and no minimiser: it falls as some x_j → ±∞.
    The reference is the infimum over the closure exp(x_j) ∈ [0, ∞].

    On data with a test set (ijcnn1), the training file gives the inner samples and the
    test file the outer ones, as in the reference. Other data are cut into stratified
    thirds (inner, outer, test), standardised by the inner third.

    References
    ----------
    M. Dagréou, P. Ablin, S. Vaiter, T. Moreau, "A framework for bilevel optimization
    that enables stochastic and global variance reduction algorithms", NeurIPS 2022,
    section 4 (IJCNN1).
    """

    name = "hyperparameter-selection"
    kernels = selection_kernels

    @classmethod
    def unfit(cls, data):
        if "X_train" not in data:
            return "needs classification data"
        if data["y_train"].max() > 1:
            return "needs two classes"
        return None

    @cached_property
    def split(self):
        """The inner, outer and test samples; the last is None where there are none."""
        data = self.data
        if data["X_test"] is None:
            return stratified_thirds(data["X_train"], data["y_train"], self.split_seed)
        return (
            Split(data["X_train"], data["y_train"]),
            Split(data["X_test"], data["y_test"]),
            None,
        )

    @property
    def inner_samples(self):
        return _signed(self.split[0])

    @property
    def outer_samples(self):
        return _signed(self.split[1])

    @property
    def dim_z(self):
        return self.data["X_train"].shape[1]

    dim_x = dim_z

    def outer_loss(self, z, x, a, y):
        from torch.nn.functional import softplus  # torch takes seconds to import

        return softplus(-y * (a @ z))

    inner_loss = outer_loss

    def inner_regulariser(self, z, x):
        return 0.5 * (x.exp() * z**2).sum()

    def initial_point(self):
        """z0 ~ N(0, I) and x0 = log U(0, 1), always the same draw."""
        generator = np.random.default_rng(2442)
        z = generator.standard_normal(self.dim_z)
        return z, np.log(generator.random(self.dim_x))

    def accuracies(self, z):
        train, validation, test = self.split
        metrics = {
            "train_accuracy": _accuracy(train, z),
            "validation_accuracy": _accuracy(validation, z),
        }
        if test is not None:
            a, y = _signed(test)
            metrics["test_accuracy"] = _accuracy(test, z)
            metrics["test_loss"] = float(np.logaddexp(0, -y * (a @ z)).mean())
        return metrics


def _signed(split):
    return split.X, np.where(split.y == 1, 1.0, -1.0)


def _accuracy(split, z):
    return float(np.mean((split.X @ z > 0) == (split.y == 1)))
