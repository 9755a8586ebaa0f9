"""Data hyper-cleaning: weights of training samples, some of which have wrong labels."""

from functools import cached_property

import numpy as np
from scipy.sparse import issparse
from scipy.special import expit

from benchmark_bilevel.oracles.samplers import aligned
from benchmark_bilevel.problems.base import Problem
from benchmark_bilevel.problems.classification import (
    Split,
    stratified_thirds,
    unfit_to_classify,
)
from benchmark_bilevel.problems.cross_entropy import cross_entropies, model_metrics
from benchmark_bilevel.problems.hypercleaning import kernels


class DataHypercleaning(Problem):
    """One weight a training sample, chosen by the loss on clean samples.

        g(z, x) = 1/n Σ_i σ(x_i) CE(Z a_i, ỹ_i) + 0.2 ‖Z‖²
        f(z, x) = 1/m Σ_j CE(Z a'_j, y'_j)

    with Z a matrix (classes, features), flat in z, and σ(x) = 1 / (1 + exp(−x)). Each
    label ỹ was, with probability `corruption`, replaced once by a class drawn
    uniformly, which is the right one now and then; the labels y' are the right ones.

    On MNIST 20,000 random training images are inner samples and 5,000 others outer ones
    (a third and a twelfth of the training file, for any data with a test file). Other
    data are cut into stratified thirds. Both are standardised by the inner part.

    The minimum is on the boundary: at its infimum weights are 0 or 1, x = ±∞. The
    reference is the minimum over σ(x) ∈ [0, 1].

    `train_accuracy` is measured against the labels ỹ that a solver is given.

    References
    ----------
    L. Franceschi, M. Donini, P. Frasconi, M. Pontil, "Forward and reverse
    gradient-based hyperparameter optimization", ICML 2017, section 5.1; this set-up:
    M. Dagréou, P. Ablin, S. Vaiter, T. Moreau, "A framework for bilevel optimization
    that enables stochastic and global variance reduction algorithms", NeurIPS 2022,
    section 4.
    """

    name = "data-hypercleaning"
    options = ("corruption",)
    targets = "classes"
    kernels = kernels
    default_split_seed = 32
    ridge = 0.2

    @classmethod
    def unfit(cls, data):
        # Six, so that a twelfth of two classes is not empty.
        reason = unfit_to_classify(data, samples=6)
        if reason is None and issparse(data["X_train"]):
            return "needs dense features"
        return reason

    @classmethod
    def invalid(cls, corruption=0.5, **_):
        if not (isinstance(corruption, int | float) and 0 <= corruption <= 1):
            return f"corruption={corruption!r} is not a probability, in [0, 1]."
        return None

    @cached_property
    def split(self):
        """The inner samples (with right labels), the outer and the test ones."""
        data, seed = self.data, self.split_seed
        if data["X_test"] is None:
            return stratified_thirds(data["X_train"], data["y_train"], seed)
        from sklearn.preprocessing import StandardScaler

        X, y = data["X_train"], data["y_train"]
        order = np.random.RandomState(seed).permutation(len(y))
        n_inner, n_outer = len(y) // 3, len(y) // 12
        inner, outer = np.split(order[: n_inner + n_outer], [n_inner])
        parts = [
            Split(aligned(X, float), y)
            for X, y in (
                (X[inner], y[inner]),
                (X[outer], y[outer]),
                (data["X_test"], data["y_test"]),
            )
        ]
        scaler = StandardScaler(copy=False).fit(parts[0].X)
        return tuple(Split(scaler.transform(X), y) for X, y in parts)

    @cached_property
    def given_labels(self):
        """The labels ỹ of the inner samples, (n,)."""
        generator = np.random.RandomState(self.split_seed)
        if self.data["X_test"] is not None:
            generator.permutation(len(self.data["y_train"]))  # spent on the split
        labels = self.split[0].y.copy()
        replaced = generator.rand(len(labels)) < self.corruption
        labels[replaced] = generator.randint(0, self.n_classes, replaced.sum())
        return labels

    @cached_property
    def wrong(self):
        """Whether the label of an inner sample is truly wrong, (n,)."""
        return self.given_labels != self.split[0].y

    @property
    def max_exact_evaluations(self):
        # A second each on MNIST.
        return 12 if self._is_large else None

    @property
    def solver_seconds(self):
        return 30.0 if self._is_large else 10.0

    @property
    def _is_large(self):
        return self.dim_x > 10_000

    @property
    def n_classes(self):
        return int(self.data["y_train"].max()) + 1

    @property
    def inner_samples(self):
        X = self.split[0].X
        return X, self.given_labels, np.arange(len(X))

    @property
    def outer_samples(self):
        return tuple(self.split[1])

    @property
    def dim_z(self):
        return self.n_classes * self.data["X_train"].shape[1]

    @property
    def dim_x(self):
        return len(self.split[0].y)

    def inner_loss(self, z, x, a, y, index):
        return x[index].sigmoid() * cross_entropies(z, a, y)

    def inner_regulariser(self, z, x):
        return self.ridge * (z**2).sum()

    def regulariser_diagonal(self, x):
        return np.full(self.dim_z, 2 * self.ridge)

    def outer_loss(self, z, x, a, y):
        return cross_entropies(z, a, y)

    def initial_point(self):
        """z0 = 0 and x0 = −2: all weights are 0.119."""
        return np.zeros(self.dim_z), np.full(self.dim_x, -2.0)

    def accuracies(self, z):
        inner, outer, test = self.split
        return model_metrics(z, Split(inner.X, self.given_labels), outer, test)

    def outer_metrics(self, x):
        """How well small weights find the wrong labels.

        Returns
        -------
        dict
            ``corrupted_auc``: probability that a wrong label has a smaller weight than
            a right one (area under the ROC curve of −x; from x, as σ(x) saturates);
            ``corrupted_precision``, ``corrupted_recall`` of "σ(x) < 1/2" as a detector.
        """
        wrong, found = self.wrong, expit(x) < 0.5
        n_wrong, n_right = wrong.sum(), (~wrong).sum()
        _, place, ties = np.unique(-x, return_inverse=True, return_counts=True)
        ranks = ties.cumsum() - (ties - 1) / 2
        rank_sum = ranks[place][wrong].sum()
        hits = (found & wrong).sum()
        with np.errstate(invalid="ignore"):
            auc = (rank_sum - n_wrong * (n_wrong + 1) / 2) / (n_wrong * n_right)
            return {
                "corrupted_auc": float(auc),
                "corrupted_precision": float(hits / found.sum()),
                "corrupted_recall": float(hits / n_wrong),
            }
