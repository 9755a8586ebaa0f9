"""Equilibrium models: a hidden state a sample, the fixed point of a shared layer."""

from functools import cached_property

import numpy as np
from scipy.sparse import issparse
from scipy.special import logsumexp

from benchmark_bilevel.problems.classification import Split, unfit_to_classify
from benchmark_bilevel.problems.tasks.base import TaskProblem

HIDDEN = 200  # numbers in a state, as published for MNIST; 50 for small images
RADIUS = 0.5  # of the spectral norm of A
STEPS = 20  # Picard steps behind the published test metrics


class Equilibrium(TaskProblem):
    """An equilibrium classifier: each sample's state is a task.

        Φ_i(z_i, x) = tanh(Aᵀz_i + Bᵀa_i + c),   f_i(z_i, x) = ℓ(Dᵀz_i + β, y_i)

    with ℓ the cross-entropy and x = (A, B, c, D, β), flat in this order, feasible where
    ‖A‖₂ ≤ 1/2: Φ is then a contraction with constant 1/2. All training samples are tasks,
    in the order that `split_seed` gives, less a stratified third for the test where there
    is no test part; features are divided by the largest. z has 200 numbers a sample, 50
    where there are at most 100 features; z0 = 0, entries of A, B, c and D start from
    N(0, 0.01²), β from 0. h is not convex, and its infimum not known.

    h, ∇h and the proximal-gradient map, with a step of 1, are exact; accuracies and losses
    are those after 20 Picard steps from 0, as published.

    References
    ----------
    R. Grazzi, M. Pontil, S. Salzo, "Bilevel optimization with a lower-level
    contraction: Optimal sample complexity without warm-start", JMLR 24, 2023, section
    7.1. (Its code also clips D to [−1, 1].)
    """

    name = "equilibrium"
    targets = "classes"
    contraction = RADIUS
    has_reference = False
    outer_depends_on_x = True  # on D and β
    max_exact_evaluations = 8
    solver_seconds = 60.0

    @classmethod
    def unfit(cls, data):
        reason = unfit_to_classify(data)
        if reason is not None:
            return reason
        return "needs dense features" if issparse(data["X_train"]) else None

    # --- samples --------------------------------------------------------------------

    @cached_property
    def _parts(self):
        """Training and test samples."""
        from sklearn.model_selection import train_test_split

        data = self.data
        X, y = data["X_train"], data["y_train"]
        if data["X_test"] is None:
            X, X_test, y, y_test = train_test_split(
                X, y, test_size=1 / 3, stratify=y, random_state=self.split_seed
            )
        else:
            order = np.random.default_rng(self.split_seed).permutation(len(y))
            X, y, X_test, y_test = X[order], y[order], data["X_test"], data["y_test"]
        scale = max(float(X.max()), -float(X.min()))
        return Split(X / scale, y), Split(X_test / scale, y_test)

    @property
    def inner_samples(self):
        return (self._parts[0].X,)

    @property
    def outer_samples(self):
        return (self._parts[0].y,)

    @property
    def dim_task(self):
        return HIDDEN if self.data["X_train"].shape[1] > 100 else HIDDEN // 4

    @cached_property
    def shapes(self):
        """Shapes of the parts of x."""
        p, d = self.data["X_train"].shape[1], self.dim_task
        n_classes = int(self.data["y_train"].max()) + 1
        return (d, d), (p, d), (d,), (d, n_classes), (n_classes,)

    @cached_property
    def _sizes(self):
        return [int(np.prod(shape)) for shape in self.shapes]

    @property
    def dim_x(self):
        return sum(self._sizes)

    def parts(self, x):
        """A, B, c, D and β as views of `x`, an array or a tensor."""
        if isinstance(x, np.ndarray):
            flat = np.split(x, np.cumsum(self._sizes)[:-1])
        else:  # the derivative of `split` is one pass over x, of slices one a part
            flat = x.split(self._sizes)
        return [part.reshape(s) for part, s in zip(flat, self.shapes, strict=True)]

    def initial_outer(self):
        generator = np.random.default_rng(self.split_seed)
        x = 0.01 * generator.standard_normal(self.dim_x)
        self.parts(x)[-1][:] = 0
        return x

    # --- losses ---------------------------------------------------------------------

    def represent_inner(self, x, a):
        """A and Bᵀa + c, which all Picard steps share."""
        A, B, c, _, _ = self.parts(x)
        return A, a @ B + c

    def fixed_point(self, z, x, A, inputs):
        return (z @ A + inputs).tanh()

    def outer_loss(self, z, x, y):
        from torch.nn.functional import cross_entropy  # torch takes seconds to import

        *_, D, beta = self.parts(x)
        return cross_entropy(z @ D + beta, y, reduction="none")

    def project(self, x):
        """A with its singular values clipped to [0, 1/2]; the rest of x as it is."""
        import torch

        A = self.parts(x)[0]
        # ‖A‖₂ is below the Frobenius norm and below √(‖A‖₁ ‖A‖∞): mostly no SVD.
        sums = A.abs().sum(0).max() * A.abs().sum(1).max()
        if torch.linalg.norm(A) <= RADIUS or sums <= RADIUS**2:
            return x
        if not A.isfinite().all():  # the run has diverged, and an SVD would fail
            return x
        U, singular, Vt = torch.linalg.svd(A)
        if singular[0] <= RADIUS:
            return x
        x = x.clone()
        self.parts(x)[0].copy_((U * singular.clamp(max=RADIUS)) @ Vt)
        return x

    # --- metrics --------------------------------------------------------------------

    def states(self, x, a, n_steps=STEPS):
        """The states of inputs `a` after some Picard steps from 0."""
        A, B, c, _, _ = self.parts(x)
        inputs = a @ B + c
        z = np.tanh(inputs)
        for _ in range(n_steps - 1):
            z = np.tanh(z @ A + inputs)
        return z

    def outer_metrics(self, x):
        """Test accuracy and test loss."""
        X, y = self._parts[1]
        *_, D, beta = self.parts(x)
        scores = self.states(x, X) @ D + beta
        losses = logsumexp(scores, axis=1) - scores[np.arange(len(y)), y]
        return {
            "test_accuracy": float(np.mean(scores.argmax(1) == y)),
            "test_loss": float(losses.mean()),
        }
