"""Hyper-parameter selection: ℓ2-regularised logistic or linear regression."""

from functools import cached_property

import numpy as np
from scipy.sparse import issparse
from scipy.special import logsumexp

from benchmark_bilevel.exact.linear_systems import CHEAP_HESSIAN
from benchmark_bilevel.problems.base import Problem
from benchmark_bilevel.problems.classification import (
    Split,
    stratified_halves,
    stratified_thirds,
    successive_fifths,
    unfit_to_classify,
)
from benchmark_bilevel.problems.regression import (
    is_regression,
    regression_metrics,
    regression_parts,
    unfit_to_regress,
)
from benchmark_bilevel.problems.selection import (
    binary_kernels,
    multiclass_kernels,
    sparse_kernels,
    squares_kernels,
)
from benchmark_bilevel.problems.selection.fine_losses import FineLosses
from benchmark_bilevel.problems.selection.ridge import Ridge, penalties, ridge_add

GROUPINGS = ("per-feature", "per-class", "per-coefficient", "single")
LINKS = ("exp", "lin")
LARGE = 100_000  # samples, from which two fifths are cut off instead of two thirds


class HyperparameterSelection(Problem):
    """Regularisation parameters of a linear model, chosen on the outer samples.

        g(z, x) = 1/n Σ_i ℓ(Z a_i, y_i) + s/2 Σ_ck λ_ck z_ck²
        f(z, x) = 1/m Σ_i ℓ(Z a'_i, y'_i)

    with ℓ the cross-entropy of the softmax of the scores; two classes have one score, so
    that ℓ = log(1 + exp(−(2y − 1) aᵀz)); on targets that are numbers ℓ = ½ (aᵀz − y)²,
    a ridge regression. There is no bias. `parametrisation` says what
    shares a λ and what it is of x: "per-feature", "per-class", "per-coefficient" or
    "single", then "-exp", λ = exp(x), or "-lin", λ = x with x ≥ 0. "default" is
    per-class-exp for several classes on dense data, else per-feature-exp. s = 1, on
    sparse data 1 / (number of weights): there the ridge is a mean.

    With λ = exp(x), h has an infimum and no minimiser: it falls as some x_j → ±∞. The
    reference is the infimum over the closure λ ∈ [0, ∞], the same for both kinds of λ.

    - Two classes and a test set (ijcnn1): the training file gives the inner samples and
      the test file the outer ones; z0 ~ N(0, I), λ0 ~ U(0, 1).
    - Several classes, dense (covtype, digits): z0 = 0, λ0 = exp(−2).
    - Regression, dense (diabetes): the same. Features and targets are centred and
      scaled by the inner part; `train_r2`, `validation_r2` and `test_r2`, the shares of
      explained variance, stand in for the accuracies.
    - Sparse data (20newsgroups): the training part is halved, stratified; z0 = 0, λ0 = 1.
      No reference: as many λ as words overfit the outer samples, h has no useful minimum.

    Without a test set, data of 100,000 samples and more (covtype) lose a fifth to the
    test, and a fifth of the rest to the outer part; smaller ones are cut into stratified
    thirds. All but ijcnn1 and sparse data are standardised by the inner part.

    References
    ----------
    M. Dagréou, P. Ablin, S. Vaiter, T. Moreau, "A framework for bilevel optimization
    that enables stochastic and global variance reduction algorithms", NeurIPS 2022
    (IJCNN1, covtype).
    K. Ji, J. Yang, Y. Liang, "Bilevel optimization: Convergence analysis and enhanced
    design", ICML 2021 (20 Newsgroups), after R. Grazzi, L. Franceschi,
    M. Pontil, S. Salzo, "On the iteration complexity of hypergradient computation",
    ICML 2020.
    """

    name = "hyperparameter-selection"
    options = ("parametrisation",)
    parametrisation = "default"

    @classmethod
    def unfit(cls, data):
        if "X_train" in data and is_regression(data):
            return unfit_to_regress(data)
        return unfit_to_classify(data)

    @classmethod
    def invalid(cls, parametrisation="default", **_):
        valid = [
            "default",
            *(f"{group}-{link}" for group in GROUPINGS for link in LINKS),
        ]
        if parametrisation not in valid:
            return (
                f"parametrisation={parametrisation!r} is not known; "
                f"expected one of {', '.join(valid)}"
            )
        return None

    # --- what the data decide -------------------------------------------------------

    @property
    def is_sparse(self):
        return issparse(self.data["X_train"])

    @property
    def is_regression(self):
        return is_regression(self.data)

    @cached_property
    def n_scores(self):
        """Number of scores of a sample: of classes, but one for two or none."""
        if self.is_regression:
            return 1
        n_classes = int(self.data["y_train"].max()) + 1
        return n_classes if n_classes > 2 else 1

    @property
    def n_features(self):
        return self.data["X_train"].shape[1]

    @property
    def kernels(self):
        if self.is_regression:
            return squares_kernels
        if self.is_sparse:
            return sparse_kernels
        return binary_kernels if self.n_scores == 1 else multiclass_kernels

    @property
    def has_reference(self):
        return not self.is_sparse

    @property
    def _is_large(self):
        return self.is_sparse or self.n_inner * self.dim_z > 10**8

    @property
    def max_exact_evaluations(self):
        # On covtype one to five seconds each, on 20 Newsgroups ten to fifteen.
        if self.is_sparse:
            return 1
        return 10 if self._is_large else None

    @property
    def solver_seconds(self):
        return 30.0 if self._is_large else 10.0

    @cached_property
    def split(self):
        """The inner, outer and test samples; the last is None where there are none."""
        if self.is_regression:
            return regression_parts(self.data, self.split_seed)
        X, y, X_test, y_test = (
            self.data[f"{array}_{part}"] for part in ("train", "test") for array in "Xy"
        )
        if X_test is None:
            cut = successive_fifths if len(y) >= LARGE else stratified_thirds
            return cut(X, y, self.split_seed)
        if self.n_scores == 1 and not self.is_sparse:
            X, X_test = (np.asarray(part, float) for part in (X, X_test))
            return Split(X, y), Split(X_test, y_test), None
        return stratified_halves(X, y, X_test, y_test, self.split_seed)

    @property
    def inner_samples(self):
        return self.split[0]

    @property
    def outer_samples(self):
        return self.split[1]

    # --- the ridge ------------------------------------------------------------------

    @property
    def _grouping_and_link(self):
        name = self.parametrisation
        if name == "default":
            by_class = self.n_scores > 1 and not self.is_sparse
            name = "per-class-exp" if by_class else "per-feature-exp"
        return name.rsplit("-", 1)

    def settings(self):
        # exp(x) and x have the same closure [0, ∞], so that one infimum serves both.
        return (self._grouping_and_link[0],)

    def in_logarithms(self):
        name = f"{self._grouping_and_link[0]}-exp"
        return type(self)(self.data, self.split_seed, parametrisation=name)

    def ridge(self, dtype):
        """The `Ridge` of g for variables of type `dtype`.

        z is a matrix (scores, features), on sparse data (features, scores).
        """
        grouping, link = self._grouping_and_link
        shape, owners = (self.n_scores, self.n_features), ("per-class", "per-feature")
        scale = 1.0
        if self.is_sparse:
            shape, owners = shape[::-1], owners[::-1]
            scale = 1 / self.dim_z
        steps = {owners[0]: (1, 0), owners[1]: (0, 1), "single": (0, 0)}
        steps = steps.get(grouping, (shape[1], 1))
        return Ridge(*shape, *steps, link == "exp", np.dtype(dtype).type(scale))

    @property
    def dim_z(self):
        return self.n_scores * self.n_features

    @property
    def dim_x(self):
        return {
            "per-feature": self.n_features,
            "per-class": self.n_scores,
            "per-coefficient": self.dim_z,
            "single": 1,
        }[self._grouping_and_link[0]]

    @property
    def project(self):
        return None if self._grouping_and_link[1] == "exp" else _nonnegative_part

    def project_scaled(self, x, weights):
        return x if self.project is None else self.project(x)

    # --- the losses -----------------------------------------------------------------

    def outer_loss(self, z, x, a, y):
        from torch.nn.functional import cross_entropy, softplus  # it takes seconds

        if self.is_sparse:
            scores = a @ z.view(-1, self.n_scores)
        else:
            scores = a @ z.view(self.n_scores, -1).T
        if self.is_regression:
            return 0.5 * (scores[:, 0] - y) ** 2
        if self.n_scores == 1:
            return softplus((1 - 2 * y) * scores[:, 0])
        return cross_entropy(scores, y, reduction="none")

    inner_loss = outer_loss

    def inner_regulariser(self, z, x):
        ridge = self.ridge("float64")
        coefficients = (x.exp() if ridge.exponential else x).view(
            ridge.rows if ridge.row_step else 1,
            ridge.columns if ridge.column_step else 1,
        )
        squares = z.view(ridge.rows, ridge.columns) ** 2
        return 0.5 * ridge.scale * (coefficients * squares).sum()

    def regulariser_diagonal(self, x):
        ridge = self.ridge("float64")
        diagonal = np.zeros(self.dim_z)
        ridge_add(ridge, penalties(ridge, x), 1.0, np.ones(self.dim_z), diagonal)
        return diagonal

    def free_directions(self, x):
        """All classes' weights of a feature by the same amount, where none is penalised.

        The softmax does not see it. On sparse data λ = 0 is refused anyway.
        """
        if self.n_scores == 1 or self.is_sparse:
            return super().free_directions(x)
        ridge = self.regulariser_diagonal(x).reshape(self.n_scores, -1)
        features = np.flatnonzero((ridge == 0).all(axis=0))
        directions = np.eye(self.n_features)[features]
        return np.tile(directions, self.n_scores) / np.sqrt(self.n_scores)

    def fine_losses(self):
        is_dear = self.n_inner * self.dim_z**2 > CHEAP_HESSIAN
        if self.is_regression or self.is_sparse or is_dear:
            return None
        return FineLosses(self)

    # Variance reduction leaves the ridge out of its tables, which would else need a row
    # as long as z for each batch, in place of the residuals of its samples.
    @property
    def separate_regulariser(self):
        return self.is_sparse

    # --- start and metrics ----------------------------------------------------------

    def initial_point(self):
        generator = np.random.default_rng(2442)  # the same draw whatever the seeds
        z = np.zeros(self.dim_z)
        if self.is_sparse:
            penalty = np.ones(self.dim_x)
        elif self.n_scores > 1 or self.is_regression:
            penalty = np.full(self.dim_x, np.exp(-2))
        else:
            z = generator.standard_normal(self.dim_z)
            penalty = generator.random(self.dim_x)
        return z, np.log(penalty) if self.project is None else penalty

    def accuracies(self, z, x):
        if self.is_regression:
            return regression_metrics(lambda X: X @ z, *self.split)
        train, validation, test = self.split
        metrics = {
            "train_accuracy": _accuracy(self._scores(train.X, z), train.y),
            "validation_accuracy": _accuracy(
                self._scores(validation.X, z), validation.y
            ),
        }
        if test is not None:
            scores = self._scores(test.X, z)
            metrics["test_accuracy"] = _accuracy(scores, test.y)
            losses = logsumexp(scores, axis=1) - scores[np.arange(len(test.y)), test.y]
            metrics["test_loss"] = float(losses.mean())
        return metrics

    def _scores(self, X, z):
        """Scores (n, classes) of the model `z`, two classes having the scores 0 and s."""
        if self.is_sparse:
            scores = X @ z.reshape(-1, self.n_scores)
        else:
            scores = X @ z.reshape(self.n_scores, -1).T
        return np.hstack([0 * scores, scores]) if self.n_scores == 1 else scores


def _nonnegative_part(x):
    return x.clip(0)


def _accuracy(scores, y):
    return float(np.mean(scores.argmax(axis=1) == y))
