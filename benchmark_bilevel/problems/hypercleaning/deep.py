"""Data hyper-cleaning with a perceptron, whose training is no convex problem."""

import numpy as np
from scipy.special import expit

from benchmark_bilevel.problems.classification import Split
from benchmark_bilevel.problems.cross_entropy import model_metrics
from benchmark_bilevel.problems.hypercleaning.problem import DataHypercleaning
from benchmark_bilevel.problems.hypercleaning.protocols import Pbgd
from benchmark_bilevel.problems.images import unfit_for_images


class DeepHypercleaning(DataHypercleaning):
    """Hyper-cleaning of images with a perceptron of one hidden layer.

        g(z, x) = 1/n Σ_i σ(x_i) CE(N(a_i; z), ỹ_i)
        f(z, x) = 1/m Σ_j CE(N(a'_j; z), y'_j)

    with N(a; z) = W₂ σ(W₁ a + b₁) + b₂ of 300 hidden units (on small images two a
    pixel), its weights z = (W₁, b₁, W₂, b₂) flat. A share `corruption` of the labels
    was replaced, exactly, by classes drawn uniformly, one of them the right one.

    g is not convex in z: **h cannot be computed**, and there is no suboptimality, no
    exact hypergradient, no metric at z*(x). Solvers that approximate −H⁻¹∇z f have no
    guarantee, either. What is left to judge by are the losses and accuracies at z, and
    how well x tells wrong labels (`clean_f1`, `corrupted_auc`).

    On MNIST and Fashion-MNIST 5,000 random training images are inner samples and 5,000
    others outer ones (twelfths of the training file), and the test is the 10,000 test
    images; other images are cut into stratified thirds. Pixels are divided by the
    largest. x0 = 0; z0 is uniform in ±1/√(inputs of the layer).

    References
    ----------
    H. Shen, T. Chen, "On penalty-based bilevel gradient descent method", ICML 2023.
    There the test images come from the training file.
    """

    name = "deep-hypercleaning"
    options = ("corruption",)
    rules = Pbgd
    h_unknown = "the inner problem, training a perceptron, is not convex"

    @classmethod
    def unfit(cls, data):
        return unfit_for_images(data, samples=6)  # a twelfth is not empty

    @property
    def _is_large(self):
        return self.dim_z > 100_000

    @property
    def n_pixels(self):
        return self.data["X_train"].shape[1]

    @property
    def n_hidden(self):
        return min(300, 2 * self.n_pixels)

    @property
    def shapes(self):
        """Shapes of the weights W₁, b₁, W₂, b₂."""
        hidden, n_classes = self.n_hidden, self.n_classes
        return (hidden, self.n_pixels), (hidden,), (n_classes, hidden), (n_classes,)

    @property
    def _sizes(self):
        return [int(np.prod(shape)) for shape in self.shapes]

    @property
    def dim_z(self):
        return sum(self._sizes)

    def outer_loss(self, z, x, a, y):
        from torch.nn.functional import cross_entropy  # torch takes seconds to import

        W1, b1, W2, b2 = self._shaped(z.split(self._sizes))
        scores = (a @ W1.T + b1).sigmoid() @ W2.T + b2
        return cross_entropy(scores, y, reduction="none")

    def _shaped(self, parts):
        """Parts of z as W₁, b₁, W₂, b₂."""
        return [
            part.reshape(shape) for part, shape in zip(parts, self.shapes, strict=True)
        ]

    def inner_loss(self, z, x, a, y, index):
        return self.rules.weights(x[index]) * self.outer_loss(z, x, a, y)

    inner_regulariser = None

    def initial_point(self):
        generator = np.random.default_rng(2442)  # the same draw whatever the seeds
        inputs = self.n_pixels, self.n_pixels, self.n_hidden, self.n_hidden
        bounds = 1 / np.sqrt(np.repeat(inputs, self._sizes))
        z = bounds * generator.uniform(-1, 1, self.dim_z)
        return z, np.full(self.dim_x, self.rules.start)

    def accuracies(self, z, x):
        cuts = np.cumsum(self._sizes)[:-1]
        W1, b1, W2, b2 = self._shaped(np.split(z, cuts))

        def model(X):
            return expit(X @ W1.T + b1) @ W2.T + b2

        inner, outer, test = self.split
        return model_metrics(model, Split(inner.X, self.given_labels), outer, test)
