"""Oracles that need nothing but the losses: PyTorch differentiates, on any device."""

from contextlib import contextmanager

import numpy as np
import torch
from scipy.sparse import issparse

from benchmark_bilevel.methods.scaling import scaled_descend
from benchmark_bilevel.methods.variance_reduction import empty_memory
from benchmark_bilevel.oracles import (
    HESSIAN_VECTOR,
    INNER_GRADIENTS,
    INNER_GRADIENTS_X,
    JACOBIAN_VECTOR,
    LOSS_VALUES,
    OUTER_GRADIENTS,
)
from benchmark_bilevel.oracles.samplers import (
    fill_normal,
    next_block,
    random_below,
)


class _AutogradOracle:
    """A loss over a partition of its samples; see `benchmark_bilevel.oracles`.

    Parameters
    ----------
    loss : callable (z, x, *batch) -> tensor of shape (batch,)
        Loss of each sample of a batch.
    regulariser : callable (z, x) -> scalar, or None
    samples : tuple of arrays with the same first dimension
    partition : Partition
    sampler : Sampler
    counts : int64 array
        In the order of `COUNTS`.
    dtype : str
    device : str
    """

    def __init__(
        self, loss, regulariser, samples, partition, sampler, counts, dtype, device
    ):
        self.loss, self.regulariser = loss, regulariser
        self.partition, self.sampler, self.counts = partition, sampler, counts
        self.samples = [to_tensor(array, dtype, device) for array in samples]
        self.sizes = partition.sizes
        self.n_blocks = partition.n_blocks

    def draw(self):
        return int(next_block(*self.sampler))

    def uniform(self, n):
        return int(random_below(self.sampler.cursor, n))

    def normal(self, y):
        numbers = np.empty(y.numel(), str(y.dtype).removeprefix("torch."))
        fill_normal(self.sampler.cursor, numbers)
        return torch.from_numpy(numbers).to(y)

    def value(self, z, x, i):
        self._count(LOSS_VALUES, i)
        with torch.no_grad():
            return float(self._value(z, x, i))

    def _value(self, z, x, i):
        block = self.partition.slice(i)
        losses = self.loss(z, x, *(array[block] for array in self.samples))
        value = self.partition.weight * losses.sum()
        return value if self.regulariser is None else value + self.regulariser(z, x)

    def _count(self, kind, i, times=1):
        self.counts[kind] += times * self.sizes[i]


class AutogradInner(_AutogradOracle):
    """Inner oracle: F = ∇z g and products with the transposes of its Jacobians.

    With `separate_regulariser`, ∇z g and H v carry the regulariser's part as an attribute
    ``not_sampled``, which variance reduction leaves out of its tables.
    """

    def __init__(self, *args, separate_regulariser=False):
        super().__init__(*args)
        self.separate_regulariser = separate_regulariser

    def memory(self, z, x):
        z_memory, v_memory = (empty_memory(z, self.n_blocks) for _ in range(2))
        # With it apart, the data term does not depend on x: nothing there is sampled.
        separate = self.separate_regulariser
        return z_memory, v_memory, None if separate else empty_memory(x, self.n_blocks)

    def _residual(self, z, x, i, differentiable=True):
        value = self._value(z, x, i)
        (residual,) = torch.autograd.grad(value, z, create_graph=differentiable)
        return residual

    def _mark(self, direction, z, x, v=None):
        """Give `direction`, ∇z g or H v, its part that is not sampled.

        In the numba runtime that part refers to z or v, `directions.require_unmoved`.
        """
        if self.separate_regulariser:
            point = z if v is None else v
            direction.taken_at = point, point._version
            z = leaf(z)
            value = self.regulariser(z, x)
            (part,) = torch.autograd.grad(value, z, create_graph=v is not None)
            if v is not None:
                (part,) = transposed_product(part, (z,), v)
            direction.not_sampled = part
        return direction

    def grad(self, z, x, i):
        self._count(INNER_GRADIENTS, i)
        return self._mark(self._residual(leaf(z), x, i, differentiable=False), z, x)

    def grad_x(self, z, x, i):
        self._count(INNER_GRADIENTS_X, i)
        return self._gradients(z, x, i)[1]

    def grads(self, z, x, i):
        for kind in (INNER_GRADIENTS, INNER_GRADIENTS_X):
            self._count(kind, i)
        gradient, gradient_x = self._gradients(z, x, i)
        return self._mark(gradient, z, x), gradient_x

    def _gradients(self, z, x, i):
        z, x = leaf(z), leaf(x)
        return torch.autograd.grad(
            self._value(z, x, i), (z, x), allow_unused=True, materialize_grads=True
        )

    def hvp(self, z, x, v, i):
        self._count(HESSIAN_VECTOR, i)
        z = leaf(z)
        (product,) = transposed_product(self._residual(z, x, i), (z,), v)
        return self._mark(product, z, x, v)

    def hessian(self, z, x, i):
        self._count(HESSIAN_VECTOR, i, z.numel())
        z = leaf(z)
        return transposed_matrix(self._residual(z, x, i), z, z)

    def cross_matrix(self, z, x, i):
        self._count(JACOBIAN_VECTOR, i, z.numel())
        z, x = leaf(z), leaf(x)
        return transposed_matrix(self._residual(z, x, i), x, z).T.contiguous()

    def cross(self, z, x, v, i):
        self._count(JACOBIAN_VECTOR, i)
        z, x = leaf(z), leaf(x)
        return transposed_product(self._residual(z, x, i), (x,), v)[0]

    def grad_hvp_cross(self, z, x, v, i):
        for kind in (INNER_GRADIENTS, HESSIAN_VECTOR, JACOBIAN_VECTOR):
            self._count(kind, i)
        z, x = leaf(z), leaf(x)
        residual = self._residual(z, x, i)
        product, cross = transposed_product(residual, (z, x), v)
        return self._mark(residual.detach(), z, x), self._mark(product, z, x, v), cross


class AutogradOuter(_AutogradOracle):
    """Outer oracle: both gradients of f, and the projected step on x."""

    def __init__(self, *args, project, project_scaled=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.project, self.project_scaled = project, project_scaled

    def grad(self, z, x, i):
        self._count(OUTER_GRADIENTS, i)
        z, x = leaf(z), leaf(x)
        value = self._value(z, x, i)
        return torch.autograd.grad(value, (z, x), allow_unused=True)

    def grad_x(self, z, x, i):
        return self.grad(z, x, i)[1]

    def memory(self, z, x):
        z, x = leaf(z), leaf(x)
        (fx,) = torch.autograd.grad(self._value(z, x, 0), x, allow_unused=True)
        return (
            empty_memory(z.detach(), self.n_blocks),
            None if fx is None else empty_memory(x.detach(), self.n_blocks),
        )

    def descend(self, x, a, d, e=None):
        for direction in (d, e):
            if direction is not None:
                x.sub_(direction, alpha=a)
        if self.project is not None:
            x.copy_(self.project(x))

    def scaled_descend(self, x, step, d, a, floor):
        scaled_descend(x, step, d, a, floor)
        if self.project is None:
            return
        if self.project_scaled is None:
            raise NotImplementedError(
                "The problem projects x, and has no `project_scaled` for steps that "
                "differ between entries."
            )
        x.copy_(self.project_scaled(x, a.sqrt() + floor))


@contextmanager
def one_thread():
    """Parallel runs do not fight; threads only wait for each other on small matrices."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


class SparseRows:
    """Rows of a CSR matrix: slices of them, and their products with a dense matrix.

    Unlike PyTorch's own sparse products these can be differentiated twice.

    Parameters
    ----------
    indptr, indices, values : tensors
        `indptr` may start anywhere in the others.
    """

    def __init__(self, indptr, indices, values):
        self.indptr, self.indices, self.values = indptr, indices, values

    def __getitem__(self, rows):
        return SparseRows(
            self.indptr[rows.start : rows.stop + 1], self.indices, self.values
        )

    def __matmul__(self, weights):
        n_rows, (start, stop) = len(self.indptr) - 1, self.indptr[[0, -1]].tolist()
        rows = torch.arange(n_rows, device=weights.device)
        rows = rows.repeat_interleave(self.indptr.diff())
        entries = weights[self.indices[start:stop]] * self.values[start:stop, None]
        return weights.new_zeros(n_rows, weights.shape[1]).index_add(0, rows, entries)


def depends_on_x(loss, samples, z, x):
    """Whether ``loss(z, x, *batch)`` depends on x, by its text at the first sample."""
    batch = (to_tensor(array[:1], "float64", "cpu") for array in samples)
    z, x = (to_tensor(y, "float64", "cpu").requires_grad_() for y in (z, x))
    (part,) = torch.autograd.grad(loss(z, x, *batch).sum(), x, allow_unused=True)
    return part is not None


def to_tensor(array, dtype, device):
    """Tensor on `device`, of `dtype` if `array` is floating; a copy of `array`.

    A CSR matrix gives `SparseRows`.
    """
    if issparse(array):
        parts = (
            array.indptr.astype("int64"),
            array.indices.astype("int64"),
            array.data,
        )
        return SparseRows(*(to_tensor(part, dtype, device) for part in parts))
    tensor = torch.tensor(array, device=device)
    return tensor.to(getattr(torch, dtype)) if tensor.is_floating_point() else tensor


def leaf(y):
    """`y` as a leaf of a new graph, sharing its memory."""
    return y.detach().requires_grad_()


def transposed_product(residual, variables, v, retain_graph=False):
    """(∂residual/∂variable)ᵀ v for each of `variables`, zeros where it is constant."""
    return torch.autograd.grad(
        residual, variables, v, retain_graph, allow_unused=True, materialize_grads=True
    )


def transposed_matrix(residual, variable, z):
    """The products of `transposed_product` with the unit vectors like z, as rows."""
    units = torch.eye(z.numel(), dtype=z.dtype, device=z.device)
    # One pass for 32 of them takes a fiftieth of the time, and memory for 32 products.
    return torch.cat([_rows(residual, variable, some) for some in units.split(32)])


def _rows(residual, variable, units):
    (rows,) = torch.autograd.grad(
        residual,
        variable,
        units,
        retain_graph=True,
        is_grads_batched=True,
        allow_unused=True,
    )
    return units.new_zeros(len(units), variable.numel()) if rows is None else rows
