"""Data hyper-cleaning: weights of training samples, some of which have wrong labels."""

from functools import cached_property

import numpy as np
from scipy.sparse import issparse

from benchmark_bilevel.oracles.samplers import aligned
from benchmark_bilevel.problems.base import Problem
from benchmark_bilevel.problems.classification import Split, thirds, unfit_to_classify
from benchmark_bilevel.problems.cross_entropy import (
    class_covariance,
    cross_entropies,
    kronecker_preconditioner,
    linear_model,
    model_metrics,
)
from benchmark_bilevel.problems.hypercleaning.protocols import PROTOCOLS


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

    The option `protocol` set to "bome" follows the experiments of that paper: weights
    x_i ∈ [0, 1], projected, in place of σ(x_i), from x0 = 1/2; 0.001 ‖Z‖²; five sixths
    of the training file (50,000 images) as inner samples, a twelfth as outer ones; a
    share `corruption` of the labels replaced, exactly; all pixels centred and scaled by
    one mean and one scale. There z0 is a trained model, here it is 0. No reference.

    `train_accuracy` is measured against the labels ỹ that a solver is given.

    References
    ----------
    L. Franceschi, M. Donini, P. Frasconi, M. Pontil, "Forward and reverse
    gradient-based hyperparameter optimization", ICML 2017; this set-up:
    M. Dagréou, P. Ablin, S. Vaiter, T. Moreau, "A framework for bilevel optimization
    that enables stochastic and global variance reduction algorithms", NeurIPS 2022.
    M. Ye, B. Liu, S. Wright, P. Stone, Q. Liu, "BOME! Bilevel optimization made easy: a
    simple first-order approach", NeurIPS 2022 ("bome").
    """

    name = "data-hypercleaning"
    options = ("corruption", "protocol")
    targets = "classes"
    protocol = "default"
    default_split_seed = 32

    @classmethod
    def unfit(cls, data):
        # Six, so that a twelfth of two classes is not empty.
        reason = unfit_to_classify(data, samples=6)
        if reason is None and issparse(data["X_train"]):
            return "needs dense features"
        return reason

    @classmethod
    def invalid(cls, corruption=0.5, protocol="default", **_):
        if not (isinstance(corruption, int | float) and 0 <= corruption <= 1):
            return f"corruption={corruption!r} is not a probability, in [0, 1]."
        if protocol not in PROTOCOLS:
            return (
                f"protocol={protocol!r} is not known; "
                f"expected one of {', '.join(PROTOCOLS)}."
            )
        return None

    def settings(self):
        # The first protocol goes without saying in the names of references.
        named = () if self.protocol == "default" else (self.protocol,)
        return (self.corruption, *named)

    @property
    def rules(self):
        return PROTOCOLS[self.protocol]

    @property
    def kernels(self):
        return self.rules.kernels

    @property
    def has_reference(self):
        return self.rules.has_reference

    @property
    def project(self):
        return self.rules.project

    @property
    def project_scaled(self):
        return self.rules.project_scaled

    @property
    def ridge(self):
        return self.rules.ridge

    @cached_property
    def split(self):
        """The inner samples (with right labels), the outer and the test ones."""
        data, seed = self.data, self.split_seed
        X, y = data["X_train"], data["y_train"]
        if data["X_test"] is None:
            parts = thirds(X, y, seed, strata=y)
        else:
            order = np.random.RandomState(seed).permutation(len(y))
            n_inner, n_outer = len(y) * self.rules.twelfths // 12, len(y) // 12
            inner, outer = np.split(order[: n_inner + n_outer], [n_inner])
            test = data["X_test"], data["y_test"]
            parts = (X[inner], y[inner]), (X[outer], y[outer]), test
        parts = tuple(Split(aligned(X, float), y) for X, y in parts)
        self.rules.scale(*(part.X for part in parts))
        return parts

    @cached_property
    def given_labels(self):
        """The labels ỹ of the inner samples, (n,)."""
        generator = np.random.RandomState(self.split_seed)
        if self.data["X_test"] is not None:
            generator.permutation(len(self.data["y_train"]))  # spent on the split
        labels = self.split[0].y.copy()
        replaced = self.rules.replaced(generator, len(labels), self.corruption)
        n_replaced = len(labels[replaced])
        labels[replaced] = generator.randint(0, self.n_classes, n_replaced)
        return labels

    @cached_property
    def wrong(self):
        """Whether the label of an inner sample is truly wrong, (n,)."""
        return self.given_labels != self.split[0].y

    @property
    def max_exact_evaluations(self):
        return self.rules.max_exact_evaluations if self._is_large else None

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
        return self.rules.weights(x[index]) * cross_entropies(z, a, y)

    def inner_regulariser(self, z, x):
        return self.ridge * (z**2).sum()

    def regulariser_diagonal(self, x):
        return np.full(self.dim_z, 2 * self.ridge)

    def outer_loss(self, z, x, a, y):
        return cross_entropies(z, a, y)

    def preconditioner(self, z, x):
        """H as if the classes' covariances and the images were independent.

        Where g is ill-conditioned: on 50,000 images Newton's method then takes some 70
        products instead of 1,600. Elsewhere it would cost more than it saves.
        """
        if not self.rules.is_ill_conditioned:
            return super().preconditioner(z, x)
        X, weights = self.split[0].X, self.rules.weights(x)
        if self._last_moments is None or not np.array_equal(self._last_moments[0], x):
            parts = zip(np.array_split(X, 10), np.array_split(weights, 10), strict=True)
            moments = sum((part.T * share) @ part for part, share in parts) / len(X)
            self._last_moments = x.copy(), np.linalg.eigh(moments)
        covariance = class_covariance(z, X, weights)
        return kronecker_preconditioner(
            covariance, self._last_moments[1], 2 * self.ridge
        )

    _last_moments = None  # an x, and the spectrum of the images' weighted moments there

    def initial_point(self):
        """z0 = 0 and x0 = −2, where all weights are 0.119, unless a protocol differs."""
        return np.zeros(self.dim_z), np.full(self.dim_x, self.rules.start)

    def accuracies(self, z, x):
        inner, outer, test = self.split
        train = Split(inner.X, self.given_labels)
        return model_metrics(linear_model(z), train, outer, test)

    def outer_metrics(self, x):
        """How well small weights find the wrong labels.

        Returns
        -------
        dict
            ``corrupted_auc``: probability that a wrong label has a smaller weight than
            a right one (area under the ROC curve of −x; from x, as σ(x) saturates);
            ``corrupted_precision``, ``corrupted_recall`` of "the weight is below 1/2"
            as a detector; ``clean_f1``, the F1 score of "it is not" as a detector of
            right labels, which papers give.
        """
        wrong, found = self.wrong, x < self.rules.half
        n_wrong, n_right = wrong.sum(), (~wrong).sum()
        _, place, ties = np.unique(-x, return_inverse=True, return_counts=True)
        ranks = ties.cumsum() - (ties - 1) / 2
        rank_sum = ranks[place][wrong].sum()
        hits, right_hits = (found & wrong).sum(), (~found & ~wrong).sum()
        with np.errstate(invalid="ignore"):
            auc = (rank_sum - n_wrong * (n_wrong + 1) / 2) / (n_wrong * n_right)
            return {
                "corrupted_auc": float(auc),
                "corrupted_precision": float(hits / found.sum()),
                "corrupted_recall": float(hits / n_wrong),
                "clean_f1": float(2 * right_hits / (n_right + (~found).sum())),
            }
