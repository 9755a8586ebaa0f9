"""How wrong h is where the inner problem is nearly flat, beside the bound that it states.

    python benchmarks/value_errors.py

On breast_cancer and digits, at x = −20, −25, …, −45 in all coordinates and at random
corners ±100, which are as good as λ = 0 and λ = ∞. The truth is Newton's method with
gradients in long double, written out here once more; it starts from about the solution
that is judged, which does not matter: g is strongly convex.
"""

import warnings

import click
import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from benchmark_bilevel.exact.solve import Exact, InnerSolveError
from benchmark_bilevel.problems.selection.problem import HyperparameterSelection

REAL = np.longdouble
LEAST_CHANGE = 1e-17  # of a score, relative to the largest: the truth ends there


def main():
    from sklearn.datasets import load_breast_cancer, load_digits

    if np.finfo(REAL).eps > 1e-18:
        raise click.ClickException("long double is no longer than float64 here")
    click.echo(f"{'':26}{'h':>20}{'|h − truth|':>13}{'bound':>10}")
    for load in (load_breast_cancer, load_digits):
        X, y = load(return_X_y=True)
        data = {"X_train": X, "y_train": y}
        problem = HyperparameterSelection(HyperparameterSelection.admit(data))
        exact = Exact(problem)
        for name, x in points(problem.dim_x):
            line = f"{load.__name__.removeprefix('load_'):14}{name:>12}"
            try:
                result = exact.evaluate(x)
            except InnerSolveError as reason:
                click.echo(f"{line}  NaN: {reason}")
                continue
            error = abs(result.value - truth(problem, x, result.z))
            wrong = "" if error <= result.error else "  above the bound"
            click.echo(
                f"{line}{result.value:20.12g}{error:13.1e}{result.error:10.1e}{wrong}"
            )


def points(dim):
    """Pairs (name, x)."""
    for x in range(-20, -50, -5):
        yield f"{x}", np.full(dim, float(x))
    generator = np.random.default_rng(0)
    for k in range(4):
        yield f"±100 ({k})", generator.choice([-100.0, 100.0], dim)


def truth(problem, x, z):
    """h(x), from Newton's method that starts at z."""
    (X, y), (X_outer, y_outer) = (
        (np.asarray(samples, REAL), labels)
        for samples, labels in (problem.inner_samples, problem.outer_samples)
    )
    n_rows = problem.n_scores
    ridge = problem.regulariser_diagonal(x).reshape(n_rows, -1)
    Z = z.reshape(n_rows, -1).astype(REAL)
    for _ in range(100):
        step = newton_step(Z, X, y, ridge)
        Z = Z - step
        change = scores(X, step)
        size = max(1, np.abs(scores(X, Z)).max())
        if np.abs(change - change[:, :1]).max() < LEAST_CHANGE * size:
            break
    else:
        warnings.warn("the truth moves still", stacklevel=2)
    s = scores(X_outer, Z)
    s = s - s[np.arange(len(s)), y_outer][:, None]
    top = s.max(axis=1)
    return (top + np.log(np.exp(s - top[:, None]).sum(axis=1))).mean()


def scores(X, Z):
    """Of all classes; two have the scores 0 and s."""
    s = X @ Z.T
    return np.hstack([0 * s, s]) if len(Z) == 1 else s


def newton_step(Z, X, y, ridge):
    """H⁻¹ ∇g, of which H is float64; small residuals are sums of small numbers."""
    n, n_rows = len(X), len(Z)
    s = scores(X, Z)
    p = np.exp(s - s.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    others = p @ (1 - np.eye(p.shape[1], dtype=REAL))
    residuals, rows = p.copy(), np.arange(n)
    residuals[rows, y] = -others[rows, y]
    gradient = (residuals.T @ X)[-n_rows:] / n + ridge * Z
    X, p, others = (array.astype(float) for array in (X, p, others))
    classes = range(p.shape[1])[-n_rows:]
    H = np.block(
        [
            [
                (X.T * (p[:, c] * (others[:, c] if c == d else -p[:, d]) / n)) @ X
                for d in classes
            ]
            for c in classes
        ]
    ) + np.diag(ridge.ravel())
    scale = 1 / np.sqrt(np.diag(H))
    scaled = H * scale[:, None] * scale
    try:
        factor = cho_factor(scaled)
    except LinAlgError:  # then the steps are a little short
        factor = cho_factor(scaled + 1e-12 * np.eye(len(H)))
    # Entries range over forty orders of magnitude, and so do steps.
    right = gradient.ravel() * scale
    size = np.abs(right).max()
    if size == 0:
        return np.zeros_like(Z)
    return (scale * cho_solve(factor, (right / size).astype(float)) * size).reshape(
        Z.shape
    )


if __name__ == "__main__":
    main()
