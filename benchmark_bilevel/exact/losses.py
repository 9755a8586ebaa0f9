"""Full losses of a problem and their derivatives, for the exact layer."""

from functools import cache, cached_property
from types import FunctionType

import numpy as np

from benchmark_bilevel.fingerprint import cached_njit, edition_of
from benchmark_bilevel.methods.directions import descend, zeros_like
from benchmark_bilevel.oracles import COUNTS, HESSIAN_VECTOR
from benchmark_bilevel.oracles.samplers import Partition, make_sampler


def full_losses(problem, counts=None):
    """Through the problem's kernels where it ships them, else through autograd."""
    made = AutogradLosses if problem.kernels is None else CompiledLosses
    return made(problem, counts)


class Losses:
    """What both kinds of losses share.

    Parameters
    ----------
    problem : Problem
    counts : int64 array, optional
        In the order of `COUNTS`; per-sample evaluations are added.
    """

    def __init__(self, problem, counts=None):
        self.problem = problem
        self.counts = np.zeros(len(COUNTS), np.int64) if counts is None else counts

    def rounding(self, z, x, u):
        """About the error of u · ∇z g(z, x) by rounding: an upper bound in practice.

        The gradients of the samples are taken to be as large as at the start: float64
        knows their mean no better, however small it has become.
        """
        ridge = np.abs(self.problem.regulariser_diagonal(x) * z * u).sum()
        return 4 * np.finfo(float).eps * (self._scale * np.linalg.norm(u) + ridge)

    @cached_property
    def _scale(self):
        """Four times the norm of the data term's gradient at the start, 4 at least.

        Samples' gradients are larger than their mean.
        """
        z, x = self.problem.initial_point()
        ridge = self.problem.regulariser_diagonal(x) * z
        return 4 * max(1.0, np.linalg.norm(self.grad(z, x) - ridge))


class CompiledLosses(Losses):
    """Full losses and derivatives through the compiled oracles, block by block.

    Blocks of 512 samples keep a block and its scores in the cache; the kernels may name
    another ``EXACT_BLOCK``.

    Parameters
    ----------
    problem : Problem
    counts : int64 array, optional
        In the order of `COUNTS`; per-sample evaluations are added.
    dtype : {"float64", "float32"}
        Of all arrays that come and go.
    """

    def __init__(self, problem, counts=None, dtype="float64"):
        super().__init__(problem, counts)
        block = getattr(problem.kernels, "EXACT_BLOCK", 512)
        self._inner, self._outer = (
            make(
                problem,
                partition := Partition(n_samples, block),
                make_sampler(partition.n_blocks, "reshuffled", 0, 0),
                self.counts,
                dtype,
            )
            for make, n_samples in (
                (problem.kernels.make_inner, problem.n_inner),
                (problem.kernels.make_outer, problem.n_outer),
            )
        )
        self._edition = edition_of(problem.kernels)
        self._has_hessian = hasattr(problem.kernels, "HAS_HESSIAN")
        self._has_hvp_again = hasattr(problem.kernels, "HAS_HVP_AGAIN")

    def _call(self, function, *arguments):
        try:
            return _compiled(function, self._edition)(*arguments)
        except Exception as error:  # whatever numba or the kernel raises
            error.add_note(self.problem.kernels.__file__)
            raise

    def inner_value(self, z, x):
        return self._call(_mean_value, self._inner, z, x)

    def outer_value(self, z, x):
        return self._call(_mean_value, self._outer, z, x)

    def grad(self, z, x):
        return self._call(_mean_grad, self._inner, z, x)

    def hvp(self, z, x, v):
        return self._call(_mean_hvp, self._inner, z, x, v)

    def hvp_at(self, z, x):
        """The function v -> ∇²zz g v, until another method is called.

        Where the kernels can, it does not repeat what v does not change: on images that
        is a third of the work, and all of the passes over x.
        """
        if not self._has_hvp_again:
            return lambda v: self.hvp(z, x, v)
        p = self._call(_probabilities, self._inner, z, x)

        def product(v):
            self.counts[HESSIAN_VECTOR] += self.problem.n_inner
            return self._call(_mean_hvp_again, self._inner, p, x, v)

        return product

    def cross(self, z, x, v):
        return self._call(_mean_cross, self._inner, z, x, v)

    def outer_grad(self, z, x):
        return self._call(_mean_outer_grad, self._outer, z, x)

    def hessian(self, z, x, every=1):
        """∇²zz g; from each `every`-th block of samples only, if they can be told."""
        if self._has_hessian:
            return self._call(_mean_hessian, self._inner, z, x, every)
        return np.array([self.hvp(z, x, unit) for unit in np.eye(z.size)])


class AutogradLosses(Losses):
    """The same through autograd, in float64, for problems without kernels."""

    def __init__(self, problem, counts=None):
        super().__init__(problem, counts)
        from benchmark_bilevel.oracles.autograd import (
            AutogradInner,
            AutogradOuter,
            one_thread,
            to_tensor,
        )

        self._one_thread = one_thread
        self._tensor = lambda array: to_tensor(array, "float64", "cpu")
        self._inner = AutogradInner(
            problem.inner_loss,
            problem.inner_regulariser,
            problem.inner_samples,
            Partition(problem.n_inner, "full"),
            None,
            self.counts,
            "float64",
            "cpu",
        )
        self._outer = AutogradOuter(
            problem.outer_loss,
            None,
            problem.outer_samples,
            Partition(problem.n_outer, "full"),
            None,
            self.counts,
            "float64",
            "cpu",
            project=None,
        )

    def _call(self, function, *arrays):
        with self._one_thread():
            result = function(*(self._tensor(array) for array in arrays), 0)
        if isinstance(result, tuple):
            return tuple(None if part is None else part.numpy() for part in result)
        return result if isinstance(result, float) else result.numpy()

    def inner_value(self, z, x):
        return self._call(self._inner.value, z, x)

    def outer_value(self, z, x):
        return self._call(self._outer.value, z, x)

    def grad(self, z, x):
        return self._call(self._inner.grad, z, x)

    def hvp(self, z, x, v):
        return self._call(self._inner.hvp, z, x, v)

    def cross(self, z, x, v):
        return self._call(self._inner.cross, z, x, v)

    def outer_grad(self, z, x):
        return self._call(self._outer.grad, z, x)

    def hessian(self, z, x, every=1):
        return self._call(self._inner.hessian, z, x)


@cache
def _compiled(function, edition):
    """`function` compiled, with a disk cache for the oracles of one module alone.

    The index of a cache names the types of all oracles in it, and reading it imports
    their modules: kernels that live elsewhere must not get into everybody's.
    """
    name = f"{function.__name__}-{edition}"
    own = FunctionType(function.__code__, function.__globals__, name)
    own.__qualname__ = name
    return cached_njit(own)


def _mean_value(oracle, z, x):
    total = 0.0
    for i in range(oracle.n_blocks):
        total += oracle.value(z, x, i)
    return total / oracle.n_blocks


def _mean_grad(inner, z, x):
    total = zeros_like(z)
    for i in range(inner.n_blocks):
        descend(total, -1.0 / inner.n_blocks, inner.grad(z, x, i))
    return total


def _mean_hvp(inner, z, x, v):
    total = zeros_like(z)
    for i in range(inner.n_blocks):
        descend(total, -1.0 / inner.n_blocks, inner.hvp(z, x, v, i))
    return total


def _probabilities(inner, z, x):
    """The workspace p of each block, (n_blocks, …), as a product at (z, x) leaves it."""
    kept = np.empty((inner.n_blocks, *inner.p.shape), z.dtype)
    for i in range(inner.n_blocks):
        inner.hvp(z, x, z, i)
        kept[i] = inner.p
    return kept


def _mean_hvp_again(inner, p, x, v):
    total = zeros_like(v)
    for i in range(inner.n_blocks):
        inner.p[:] = p[i]
        descend(total, -1.0 / inner.n_blocks, inner.hvp_again(x, v, i))
    return total


def _mean_cross(inner, z, x, v):
    total = zeros_like(x)
    for i in range(inner.n_blocks):
        descend(total, -1.0 / inner.n_blocks, inner.cross(z, x, v, i))
    return total


def _mean_outer_grad(outer, z, x):
    total_z, total_x = zeros_like(z), zeros_like(x)
    for i in range(outer.n_blocks):
        fz, fx = outer.grad(z, x, i)
        descend(total_z, -1.0 / outer.n_blocks, fz)
        descend(total_x, -1.0 / outer.n_blocks, fx)
    return total_z, total_x


def _mean_hessian(inner, z, x, every):
    total, n_blocks = inner.hessian(z, x, 0), 1
    for i in range(every, inner.n_blocks, every):
        total += inner.hessian(z, x, i)
        n_blocks += 1
    return total / n_blocks
