"""Data poisoning: perturbations of training images that spoil the trained model."""

from functools import cached_property

import numpy as np

from benchmark_bilevel.oracles import COUNTS
from benchmark_bilevel.oracles.samplers import Partition, aligned, make_sampler
from benchmark_bilevel.problems.base import Problem
from benchmark_bilevel.problems.classification import Split
from benchmark_bilevel.problems.cross_entropy import (
    accuracy,
    class_covariance,
    cross_entropies,
    kronecker_preconditioner,
    linear_model,
    model_metrics,
)
from benchmark_bilevel.problems.images import unfit_for_images
from benchmark_bilevel.problems.poisoning import kernels
from benchmark_bilevel.problems.poisoning.projections import (
    CONSTRAINTS,
    project_rows,
    radius,
)
from benchmark_bilevel.problems.poisoning.scaled_projections import project_rows_scaled


class DataPoisoning(Problem):
    """An attacker moves a fifth of the training images, and the model's loss goes up.

        g(z, x) = 1/n Σ_i CE(Z (a_i + x_i), y_i) + 0.1 mean(Z²)
        f(z, x) = −1/m Σ_j CE(Z a'_j, y'_j)

    with Z a matrix (classes, pixels), flat in z, and x one row of pixels for each
    poisonable image (x_i = 0 for the others), flat. h is minus the validation loss.
    Each row of x is in a ball around zero and a_i + x_i stays an image, with pixels in
    [0, 1]; the option `constraint` says in which ball, and how x is projected
    (`benchmark_bilevel.problems.poisoning.projections`).

    On MNIST (a training and a test file) a stratified quarter of the training images
    are outer samples. Other images are cut into stratified thirds. A stratified fifth
    of the inner samples is poisonable. Pixels are divided by the largest.

    There is no reference minimum: h is not convex, and has millions of variables.
    `hypergradient_norm` is ‖x − P(x − α ∇h)‖ / α with α = 20 n, about 10⁶ on MNIST:
    ∇h with respect to one image is of the order of 1/n, and steps of that size move an
    image across its ball within a few iterations.

    References
    ----------
    R. Grazzi, M. Pontil, S. Salzo, "Bilevel optimization with a lower-level
    contraction: Optimal sample complexity without warm-start", JMLR 24, 2023,
    section 7.3.
    """

    name = "data-poisoning"
    options = ("constraint",)
    targets = "classes"
    kernels = kernels
    default_split_seed = 2
    has_reference = False
    ridge = 0.1  # of the mean square

    @classmethod
    def unfit(cls, data):
        # Six, so that a fifth of the inner third has one of each class.
        reason = unfit_for_images(data, samples=6)
        if reason is not None:
            return reason
        n, n_classes = len(data["y_train"]), len(data["classes"])
        if n < 15 * n_classes:
            return f"needs 15 training images a class; there are {n} for {n_classes}"
        return None

    @classmethod
    def invalid(cls, constraint=CONSTRAINTS[0], **_):
        if constraint not in CONSTRAINTS:
            return (
                f"constraint={constraint!r} is not known; "
                f"expected one of {', '.join(CONSTRAINTS)}."
            )
        return None

    @cached_property
    def split(self):
        """The inner samples (not poisoned), the outer and the test ones."""
        from sklearn.model_selection import train_test_split

        data = self.data
        largest = float(data["X_train"].max())

        def cut(X, y, size):
            first, second, y_first, y_second = train_test_split(
                X, y, test_size=size, stratify=y, random_state=self.split_seed
            )
            return Split(first, y_first), Split(second, y_second)

        train = Split(data["X_train"], data["y_train"])
        if data["X_test"] is None:
            inner, rest = cut(*train, 2 / 3)
            parts = inner, *cut(*rest, 1 / 2)
        else:
            parts = *cut(*train, 1 / 4), Split(data["X_test"], data["y_test"])
        parts = [Split(aligned(X, float), y) for X, y in parts]
        for X, _ in parts:
            X /= largest
        return parts

    @cached_property
    def poisonable(self):
        """Indices of the poisonable images among the inner samples, increasing."""
        from sklearn.model_selection import train_test_split

        y = self.split[0].y
        _, chosen = train_test_split(
            np.arange(len(y)), test_size=0.2, stratify=y, random_state=self.split_seed
        )
        return np.sort(chosen)

    @cached_property
    def rows(self):
        """Row of x of each inner sample, (n,); −1 where it is not poisonable."""
        rows = np.full(self.n_inner, -1)
        rows[self.poisonable] = np.arange(len(self.poisonable))
        return rows

    @cached_property
    def images(self):
        """The poisonable images, (n_poisonable, pixels)."""
        return self.split[0].X[self.poisonable]

    def clean_images(self, dtype):
        """`images` as `dtype`, aligned: one copy for both oracles, and for the cache."""
        if dtype not in self._clean_images:
            self._clean_images[dtype] = aligned(self.images, dtype)
        return self._clean_images[dtype]

    @cached_property
    def _clean_images(self):
        return {}

    @property
    def n_inner(self):
        return len(self.split[0].y)

    @property
    def max_exact_evaluations(self):
        # Half a minute each on MNIST: at the start and at the end of a run.
        return 1 if self._is_large else None

    @property
    def solver_seconds(self):
        return 90.0 if self._is_large else 10.0

    @property
    def _is_large(self):
        return self.n_inner > 10_000

    @property
    def n_classes(self):
        return int(self.data["y_train"].max()) + 1

    @property
    def n_pixels(self):
        return self.data["X_train"].shape[1]

    @property
    def radius(self):
        """Radius of the ball of each row of x."""
        return radius(self.constraint, self.n_pixels)

    @property
    def inner_samples(self):
        return *self.split[0], self.rows

    @property
    def outer_samples(self):
        return tuple(self.split[1])

    @property
    def dim_z(self):
        return self.n_classes * self.n_pixels

    @property
    def dim_x(self):
        return len(self.poisonable) * self.n_pixels

    @property
    def projection_step(self):
        """α of the projected-gradient map whose norm is `hypergradient_norm`."""
        return 20.0 * self.n_inner

    def inner_loss(self, z, x, a, y, row):
        moves = x.view(-1, a.shape[1])[row.clamp(min=0)]
        return cross_entropies(z, a + (row >= 0).unsqueeze(1) * moves, y)

    def inner_regulariser(self, z, x):
        return self.ridge * (z**2).mean()

    def regulariser_diagonal(self, x):
        return np.full(self.dim_z, 2 * self.ridge / self.dim_z)

    def outer_loss(self, z, x, a, y):
        return -cross_entropies(z, a, y)

    def preconditioner(self, z, x):
        """H as if the classes' covariances and the images were independent.

        On MNIST conjugate gradients then take some 100 steps; the condition number of H
        is above 10⁵.
        """
        covariance = class_covariance(z, self.split[0].X)
        if self._last_moments is None or not np.array_equal(self._last_moments[0], x):
            poisoned = self.images + x.reshape(self.images.shape)
            moments = (self._fixed_moments + poisoned.T @ poisoned) / self.n_inner
            self._last_moments = x.copy(), np.linalg.eigh(moments)
        ridge = 2 * self.ridge / self.dim_z
        return kronecker_preconditioner(covariance, self._last_moments[1], ridge)

    _last_moments = None  # an x, and the spectrum of the images' moments there

    @cached_property
    def _fixed_moments(self):
        """Σ a aᵀ over the images that are not poisonable."""
        X = self.split[0].X
        return X.T @ X - self.images.T @ self.images

    def project(self, x):
        from torch import from_numpy  # torch takes seconds to import

        images = from_numpy(self.images).to(x)
        rows = project_rows(self.constraint, x.view_as(images), images, self.radius)
        return rows.view_as(x)

    def project_scaled(self, x, weights):
        from torch import from_numpy  # torch takes seconds to import

        images = from_numpy(self.images).to(x)
        rows, weights = x.view_as(images), weights.view_as(images)
        rows = project_rows_scaled(self.constraint, rows, images, self.radius, weights)
        return rows.view_as(x)

    def initial_point(self):
        return np.zeros(self.dim_z), np.zeros(self.dim_x)

    def accuracies(self, z, x):
        """On the inner images as they were, not poisoned."""
        return model_metrics(linear_model(z), *self.split)

    def final_metrics(self, x):
        """What training from zero on the poisoned images gives; 15 to 20 s on MNIST.

        Returns
        -------
        dict
            ``retrained_validation_accuracy``, ``retrained_test_accuracy``.
        """
        model = linear_model(self.retrain(x))
        _, validation, test = self.split
        return {
            "retrained_validation_accuracy": accuracy(model, validation),
            "retrained_test_accuracy": accuracy(model, test),
        }

    def retrain(self, x, n_steps=1000, step_size=0.1, momentum=0.5):
        """z after full-batch heavy-ball steps on g(·, x) from zero, as published.

        On MNIST these do not reach the minimum, and the accuracies depend on their
        number: they are part of the protocol. In float32, one thread.
        """
        partition = Partition(self.n_inner, 256)  # a block stays in the cache
        sampler = make_sampler(partition.n_blocks, "reshuffled", 0, 0)
        counts = np.zeros(len(COUNTS), np.int64)
        inner = self.kernels.make_inner(self, partition, sampler, counts, "float32")
        z = np.zeros(self.dim_z, np.float32)
        self.kernels.heavy_ball(
            inner, z, x.astype(np.float32), n_steps, step_size, momentum
        )
        return z.astype(float)
