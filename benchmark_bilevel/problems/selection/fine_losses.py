"""Losses of hyper-parameter selection in long double, for the exact layer.

Where λ is as small as exp(−40), ∇z g is the difference of terms as small as that, and
a residual p − 1 with its absolute error of 1e-16 says nothing. Here it is minus the sum
of the other probabilities, in the Hessian as well, and every sum has a small error
relative to its terms.

Scores are (samples, classes); two classes have the scores 0 and s.
"""

import numpy as np

from benchmark_bilevel.oracles import (
    COUNTS,
    HESSIAN_VECTOR,
    INNER_GRADIENTS,
    JACOBIAN_VECTOR,
    LOSS_VALUES,
    OUTER_GRADIENTS,
)
from benchmark_bilevel.problems.selection.ridge import penalties, ridge_cross

REAL = np.longdouble  # 64 bits of mantissa on x86, no more than float64's 53 on some


class FineLosses:
    """The methods of `exact.losses.CompiledLosses` that a Newton solver needs.

    Parameters
    ----------
    problem : HyperparameterSelection
        On dense data, so small that a Hessian costs little.

    Attributes
    ----------
    counts : int64 array
        Per-sample evaluations, in the order of `COUNTS`.
    """

    def __init__(self, problem):
        self.problem, self.counts = problem, np.zeros(len(COUNTS), np.int64)
        self.ridge = problem.ridge("float64")
        self.inner, self.outer = (
            (np.asarray(X, REAL), y)
            for X, y in (problem.inner_samples, problem.outer_samples)
        )

    def _scores(self, X, z):
        scores = X @ z.reshape(self.problem.n_scores, -1).T
        is_single = self.problem.n_scores == 1
        return np.hstack([0 * scores, scores]) if is_single else scores

    def _flat(self, terms):
        """Matrix (classes, features) as z has it, without the class of the score 0."""
        return terms[-self.problem.n_scores :].ravel()

    def _regulariser(self, x):
        return self.problem.regulariser_diagonal(x).astype(REAL)

    def _probabilities(self, X, z):
        scores = self._scores(X, z)
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        return p / p.sum(axis=1, keepdims=True)

    def _residuals(self, samples, z):
        """p − e_y over the number of samples, (samples, classes)."""
        X, y = samples
        p, rows = self._probabilities(X, z), np.arange(len(y))
        p[rows, y] = -_others(p)[rows, y]
        return p / len(y)

    def grad(self, z, x):
        self.counts[INNER_GRADIENTS] += self.problem.n_inner
        data = self._residuals(self.inner, z).T @ self.inner[0]
        return self._flat(data) + self._regulariser(x) * z

    def rounding(self, z, x, u):
        """Bound of the error of u · ∇z g(z, x) by rounding."""
        sizes = np.abs(self.inner[0])
        n, n_features = sizes.shape
        # A score's error is the relative error of a probability.
        errors = n + n_features * (1 + self._scores(sizes, np.abs(z)).max(axis=1))
        terms = np.abs(self._residuals(self.inner, z)) * self._scores(sizes, np.abs(u))
        ridge = np.abs(self._regulariser(x) * z * u).sum()
        return np.finfo(REAL).eps * (2 * errors @ terms.sum(axis=1) + 4 * ridge)

    def hvp(self, z, x, v):
        self.counts[HESSIAN_VECTOR] += self.problem.n_inner
        X = self.inner[0]
        p, t = self._probabilities(X, z), self._scores(X, v)
        # Relative to the likeliest class: its own share 1 − p is not at hand.
        rows, top = np.arange(len(p)), p.argmax(axis=1)
        t = t - t[rows, top][:, None]
        u = p * (t - (p * t).sum(axis=1, keepdims=True)) / len(p)
        return self._flat(u.T @ X) + self._regulariser(x) * v

    def hessian(self, z, x):
        """∇²zz g in float64, whose entries are as accurate as that."""
        self.counts[HESSIAN_VECTOR] += z.size * self.problem.n_inner
        X = self.inner[0]
        X, p = (array.astype(float) for array in (X, self._probabilities(X, z)))
        classes = range(p.shape[1])[-self.problem.n_scores :]
        others = _others(p)

        def block(c, d):
            weight = p[:, c] * (others[:, c] if c == d else -p[:, d]) / len(p)
            return (X * weight[:, None]).T @ X

        data = np.block([[block(c, d) for d in classes] for c in classes])
        return data + np.diag(self.problem.regulariser_diagonal(x))

    def cross(self, z, x, v):
        self.counts[JACOBIAN_VECTOR] += self.problem.n_inner
        z, v = z.astype(float), v.astype(float)
        return ridge_cross(self.ridge, penalties(self.ridge, x), z, v)

    def outer_value(self, z, x):
        self.counts[LOSS_VALUES] += self.problem.n_outer
        X, y = self.outer
        scores = self._scores(X, z)
        relative = scores - scores[np.arange(len(y)), y][:, None]
        top = relative.max(axis=1, keepdims=True)
        return np.mean(top[:, 0] + np.log(np.exp(relative - top).sum(axis=1)))

    def outer_grad(self, z, x):
        self.counts[OUTER_GRADIENTS] += self.problem.n_outer
        return self._flat(self._residuals(self.outer, z).T @ self.outer[0]), None


def _others(p):
    """1 − p as the sum of the other classes' probabilities."""
    return p @ (1 - np.eye(p.shape[1], dtype=p.dtype))
