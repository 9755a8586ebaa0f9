"""How the papers set hyper-cleaning up."""

from benchmark_bilevel.problems.hypercleaning import kernels, weight_kernels
from benchmark_bilevel.problems.images import (
    divided_by_the_largest,
    standardised_as_a_whole,
)


class Soba:
    """Dagréou et al. 2022.

    Attributes
    ----------
    twelfths : int
        Of a training file, the part that is inner samples. Another one is outer samples.
    ridge : float
        Of ‖z‖².
    start : float
        All entries of x0.
    half : float
        Where the weight is 1/2.
    is_ill_conditioned : bool
        Whether the inner problem is.
    max_exact_evaluations : int
        Of a run on many images: they take a second each.
    """

    twelfths = 4
    ridge = 0.2
    start, half = -2.0, 0.0
    kernels = kernels
    has_reference = True
    is_ill_conditioned = False
    max_exact_evaluations = 12
    project = project_scaled = None

    @staticmethod
    def weights(x):
        """The weights of samples with the entries `x`, a tensor: σ(x)."""
        # Autograd's derivative is σ (1 − σ), which cancels where σ is nearly 1.
        return x.sigmoid().where(x <= 0, 1 - (-x).sigmoid())

    @staticmethod
    def scale(inner, *others):
        """Centre and scale the features of all parts in place, by the inner one."""
        from sklearn.preprocessing import StandardScaler

        scaler = StandardScaler(copy=False).fit(inner)
        for X in (inner, *others):
            scaler.transform(X)

    @staticmethod
    def replaced(generator, n, corruption):
        """Which of `n` labels are replaced: each with probability `corruption`."""
        return generator.rand(n) < corruption


class Bome(Soba):
    """Ye et al. 2022: x holds the weights themselves, projected on [0, 1]."""

    twelfths = 10
    ridge = 0.001
    start = half = 0.5
    kernels = weight_kernels
    has_reference = False
    is_ill_conditioned = True
    max_exact_evaluations = 6  # five seconds each on 50,000 images
    scale = staticmethod(standardised_as_a_whole)

    @staticmethod
    def weights(x):
        return x

    @staticmethod
    def project(x):
        return x.clamp(0.0, 1.0)

    @staticmethod
    def project_scaled(x, weights):
        return x.clamp(0.0, 1.0)  # a box: the weights do not matter

    @staticmethod
    def replaced(generator, n, corruption):
        """A share `corruption` of them, exactly, rounded down."""
        return generator.permutation(n)[: int(corruption * n + 1e-9)]


class Pbgd(Soba):
    """Shen and Chen 2023, for `DeepHypercleaning`: few images, no ridge."""

    twelfths = 1
    ridge = 0.0
    start = 0.0
    kernels = None
    has_reference = False
    scale = staticmethod(divided_by_the_largest)
    replaced = staticmethod(Bome.replaced)


PROTOCOLS = {"default": Soba, "bome": Bome}
