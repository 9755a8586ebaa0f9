"""Closed forms of data poisoning in numba; see `cross_entropy_kernels`.

The rows of x are in the order of the samples, so that those of a block are one slice.
Before a block is used, its poisonable images, a fifth, are written anew from x. The
derivative of the loss with respect to image k, a row of x, is Σ_c R_ck Z_c, and that of
v · ∇_Z is Σ_c R_ck V_c + U_ck Z_c.
"""

import numpy as np
from numba.core import types

from benchmark_bilevel.compiled.row_directions import Mean, one_slice, slices
from benchmark_bilevel.fingerprint import cached_njit
from benchmark_bilevel.methods.directions import descend, is_kind, scale, zeros_like
from benchmark_bilevel.methods.scaling import scaled_descend
from benchmark_bilevel.oracles import (
    HESSIAN_VECTOR,
    INNER_GRADIENTS,
    INNER_GRADIENTS_X,
    JACOBIAN_VECTOR,
    LOSS_VALUES,
)
from benchmark_bilevel.oracles.declaration import by_types
from benchmark_bilevel.oracles.samplers import aligned, aligned_zeros
from benchmark_bilevel.problems.cross_entropy_kernels import (
    CrossEntropy,
    CrossEntropyOuter,
    RowsInner,
)
from benchmark_bilevel.problems.poisoning.projections import CONSTRAINTS, project_row
from benchmark_bilevel.problems.poisoning.scaled_projections import project_row_scaled

EXACT_BLOCK = 125  # see hypercleaning.kernels
HAS_HVP_AGAIN = True  # the inner oracle has `hvp_again`


class PoisoningInner(CrossEntropy, RowsInner):
    fields = {
        "starts": "(n_blocks + 1,), first row of x of each block",
        "places": "(n_poisonable,), index in its block of the sample of each row",
        "images": "(n_poisonable, features), clean",
        "small": "(batch * classes,), workspace",
        "ridge": "factor of Z in ∇_Z",
    }

    @classmethod
    def arrays(cls, problem, samples, partition, dtype):
        images, labels, _ = samples
        samples = aligned(images, dtype), labels  # a copy, to be written to
        size = partition.batch_size
        limits = np.arange(partition.n_blocks + 1) * size
        return super().arrays(problem, samples, partition, dtype) | {
            "starts": np.searchsorted(problem.poisonable, limits),
            "places": problem.poisonable % size,
            "images": problem.clean_images(dtype),
            "small": aligned_zeros(size * problem.n_classes, dtype),
            "ridge": np.dtype(dtype).type(2 * problem.ridge / problem.dim_z),
        }

    def poisoned(self, x, i):
        """The images of block i, those that can be poisoned written anew from x."""
        images, n_pixels = self.a[i], self.a.shape[2]
        for row in range(self.starts[i], self.starts[i + 1]):
            moves = x[row * n_pixels : (row + 1) * n_pixels]
            clean, image = self.images[row], images[self.places[row]]
            for k in range(n_pixels):
                image[k] = clean[k] + moves[k]
        return images

    def pulled(self, factors, z, i):
        """The direction for x whose row for sample k is Σ_c factors_ck Z_c."""
        start, n_pixels = self.starts[i], self.a.shape[2]
        places = self.places[start : self.starts[i + 1]]
        shape = (places.size, factors.shape[0])
        chosen = self.small[: shape[0] * shape[1]].reshape(shape)
        for k in range(shape[0]):
            for c in range(shape[1]):
                chosen[k, c] = factors[c, places[k]]
        values = np.empty((shape[0], n_pixels), z.dtype)
        self.pull(self.weights(z), chosen, values)
        return one_slice(start * n_pixels, values.reshape(values.size))

    def moves(self, z, v, i):
        """J v, with R and U as `residuals` and `curvatures` left them."""
        direction = self.pulled(self.r, v, i)
        descend(direction.values, -1.0, self.pulled(self.u, z, i).values)
        return direction

    def value(self, z, x, i):
        self.count(LOSS_VALUES, i)
        square = 0.0
        for k in range(z.size):
            square += z[k] * z[k]
        return self.loss(self.poisoned(x, i), z, i) + 0.5 * self.ridge * square

    def grad(self, z, x, i):
        self.count(INNER_GRADIENTS, i)
        a = self.poisoned(x, i)
        return self.back(a, self.residuals(a, z, i), z, self.ridge)

    def grad_x(self, z, x, i):
        self.count(INNER_GRADIENTS_X, i)
        return self.pulled(self.residuals(self.poisoned(x, i), z, i), z, i)

    def grads(self, z, x, i):
        gradient = self.grad(z, x, i)
        self.count(INNER_GRADIENTS_X, i)
        return gradient, self.pulled(self.r, z, i)

    def hvp(self, z, x, v, i):
        self.count(HESSIAN_VECTOR, i)
        self.residuals(self.poisoned(x, i), z, i)
        return self.hvp_again(x, v, i)

    def hvp_again(self, x, v, i):
        """`hvp`, with images and p as one at the same z and x left them; not counted."""
        a = self.a[i]
        return self.back(a, self.curvatures(a, v), v, self.ridge)

    def cross(self, z, x, v, i):
        self.count(JACOBIAN_VECTOR, i)
        a = self.poisoned(x, i)
        self.residuals(a, z, i)
        self.curvatures(a, v)
        return self.moves(z, v, i)

    def grad_hvp_cross(self, z, x, v, i):
        self.count(INNER_GRADIENTS, i)
        self.count(HESSIAN_VECTOR, i)
        self.count(JACOBIAN_VECTOR, i)
        a = self.poisoned(x, i)
        gradient = self.back(a, self.residuals(a, z, i), z, self.ridge)
        product = self.back(a, self.curvatures(a, v), v, self.ridge)
        return gradient, product, self.moves(z, v, i)


class PoisoningOuter(CrossEntropyOuter):
    fields = {
        "images": "(n_poisonable, features), clean",
        "constraint": "index in CONSTRAINTS",
        "radius": "of the ball",
    }
    sign = -1

    @classmethod
    def arrays(cls, problem, samples, partition, dtype):
        return super().arrays(problem, samples, partition, dtype) | {
            "images": problem.clean_images(dtype),
            "constraint": CONSTRAINTS.index(problem.constraint),
            "radius": np.dtype(dtype).type(problem.radius),
        }

    def descend(self, x, a, d, e=None):
        """Move x and project the images that moved."""
        descend(x, a, e)
        self.move(x, a, d)
        self.project(x, e)

    def scaled_descend(self, x, step, d, a, floor):
        """The same for steps d / (√a + floor), in their metric."""
        scaled_descend(x, step, d, a, floor)
        n_pixels = self.images.shape[1]
        w = np.empty(n_pixels, x.dtype)
        floor = x.dtype.type(floor)
        for start, stop in zip(*slices(d, x.size)):  # noqa: B905, no `strict` in numba
            for row in range(start // n_pixels, stop // n_pixels):
                pixels = slice(row * n_pixels, (row + 1) * n_pixels)
                past = a[pixels]
                for k in range(n_pixels):
                    w[k] = np.sqrt(past[k]) + floor
                image = self.images[row]
                project_row_scaled(self.constraint, x[pixels], image, self.radius, w)

    def project(self, x, d):
        """Project the rows of x that `d` moves."""
        n_pixels = self.images.shape[1]
        rows = x.reshape(self.images.shape)
        # `slices` returns two arrays of one length.
        for start, stop in zip(*slices(d, x.size)):  # noqa: B905, no `strict` in numba
            for row in range(start // n_pixels, stop // n_pixels):
                project_row(self.constraint, rows[row], self.images[row], self.radius)

    @by_types
    def move(self, x, a, d):
        """x ← P(x − a d); in one pass over the rows where d is dense."""
        if isinstance(d, types.Array):

            def move(self, x, a, d):
                rows, moves = x.reshape(self.images.shape), d.reshape(self.images.shape)
                for row in range(len(rows)):
                    image = self.images[row]
                    descend(rows[row], a, moves[row])
                    project_row(self.constraint, rows[row], image, self.radius)

        elif is_kind(d, Mean):

            def move(self, x, a, d):
                descend(x, a, d.rows)
                self.move(x, a, d.average)

        else:

            def move(self, x, a, d):
                descend(x, a, d)
                self.project(x, d)

        return move


make_inner, make_outer = PoisoningInner.make, PoisoningOuter.make


@cached_njit
def heavy_ball(inner, z, x, n_steps, step, momentum):
    """Full-batch heavy-ball steps on g(·, x), in place."""
    change = zeros_like(z)
    for i in range(inner.n_blocks):
        inner.poisoned(x, i)
    for _ in range(n_steps):
        scale(change, momentum)
        for i in range(inner.n_blocks):
            images = inner.a[i]
            residuals = inner.residuals(images, z, i)
            gradient = inner.back(images, residuals, z, inner.ridge)
            descend(change, step / inner.n_blocks, gradient)
        descend(z, -1.0, change)
