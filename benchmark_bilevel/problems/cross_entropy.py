"""A linear model with cross-entropy: what the problems on images share.

Its weights are a matrix (classes, features), flat in z.
"""

import numpy as np
from scipy.special import logsumexp, softmax


def cross_entropies(z, a, y):
    """Cross-entropy of each sample of a batch, a tensor of shape (batch,).

    Parameters
    ----------
    z : tensor of shape (classes * features,)
    a : tensor of shape (batch, features)
    y : integer tensor of shape (batch,)
    """
    from torch.nn.functional import cross_entropy  # torch takes seconds to import

    return cross_entropy(a @ z.view(-1, a.shape[1]).T, y, reduction="none")


def linear_model(z):
    """The function X ↦ X Zᵀ, the scores (n, classes) of the samples X (n, features)."""
    return lambda X: X @ z.reshape(-1, X.shape[1]).T


def model_metrics(model, train, validation, test):
    """The accuracies of `model` on three `Split` and its loss on the last.

    Parameters
    ----------
    model : callable
        From samples (n, features) to scores (n, classes).
    train, validation, test : Split
    """
    scores = model(test.X)
    losses = logsumexp(scores, axis=1) - scores[np.arange(len(test.y)), test.y]
    return {
        "train_accuracy": accuracy(model, train),
        "validation_accuracy": accuracy(model, validation),
        "test_accuracy": float(np.mean(scores.argmax(axis=1) == test.y)),
        "test_loss": float(losses.mean()),
    }


def accuracy(model, split):
    """Share of the samples of `split` that `model` classifies rightly."""
    return float(np.mean(model(split.X).argmax(axis=1) == split.y))


def class_covariance(z, X, weights=None):
    """Mean of diag(p) − p pᵀ, p the probabilities of a sample: (classes, classes).

    `weights`, (n,), are those of the samples; equal ones if None.
    """
    p = softmax(X @ z.reshape(-1, X.shape[1]).T, axis=1)
    if weights is None:
        weights = np.ones(len(p))
    share = p * (weights / max(weights.sum(), np.finfo(float).tiny))[:, None]
    return np.diag(share.sum(axis=0)) - p.T @ share


def kronecker_preconditioner(covariance, spectrum_of_moments, ridge):
    """The function b ↦ (covariance ⊗ moments + ridge I)⁻¹ b.

    ∇²_ZZ of the mean cross-entropy is the mean of (diag(p) − p pᵀ) ⊗ a aᵀ, which this
    is if both factors are independent.

    Parameters
    ----------
    covariance : array of shape (classes, classes)
    spectrum_of_moments : pair
        Eigenvalues (features,) and eigenvectors (features, features) of the moments.
    ridge : float
    """
    class_values, class_vectors = np.linalg.eigh(covariance)
    values, vectors = spectrum_of_moments
    spectrum = np.outer(class_values, values).clip(min=0) + ridge

    def solve(b):
        rotated = class_vectors.T @ b.reshape(spectrum.shape) @ vectors
        return (class_vectors @ (rotated / spectrum) @ vectors.T).ravel()

    return solve
