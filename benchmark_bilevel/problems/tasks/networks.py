"""Small networks with flat weights, for representations that tasks share.

Written out with PyTorch's functions, so that the weights are one vector x and batch
normalisation can be a task's own.
"""

from itertools import pairwise

import numpy as np


class Network:
    """Flat weights in named parts; a subclass has `shapes` and ``__call__``.

    Attributes
    ----------
    shapes : list of tuple
        Of the parts of the weights, in their order.
    n_features : int
    """

    @property
    def size(self):
        """Number of weights."""
        return sum(int(np.prod(shape)) for shape in self.shapes)

    def parts(self, x):
        """The parts of flat weights `x`, as views."""
        start = 0
        for shape in self.shapes:
            stop = start + int(np.prod(shape))
            yield x[start:stop].reshape(shape)
            start = stop

    def initial_weights(self, generator):
        """Weights uniform within ± 1/√(inputs of a unit), as PyTorch's layers have."""
        x = np.zeros(self.size)
        parts = list(self.parts(x))
        for weight, *others in zip(*[iter(parts)] * self.parts_a_layer, strict=True):
            bound = np.prod(weight.shape[1:]) ** -0.5
            weight[:] = generator.uniform(-bound, bound, weight.shape)
            others[0][:] = generator.uniform(-bound, bound, others[0].shape)
            if len(others) > 1:
                others[1][:] = 1.0  # the scale of a normalisation
        return x


class Perceptron(Network):
    """Two hidden layers of 40 units, the features being those of the second.

    Parameters
    ----------
    n_inputs : int
    """

    n_features = 40
    parts_a_layer = 2

    def __init__(self, n_inputs):
        self.shapes = [(40, n_inputs), (40,), (40, 40), (40,)]

    def __call__(self, x, inputs):
        first, first_bias, second, second_bias = self.parts(x)
        hidden = (inputs @ first.T + first_bias).relu()
        return hidden @ second.T + second_bias


class Convolutional(Network):
    """Four blocks of a 3 × 3 convolution with 32 channels, ReLU, pooling, normalisation.

    The features are the tanh of what is left of the image.

    Parameters
    ----------
    images : array of shape (images, height, width) or (images, height, width, channels)
        Tasks hold indices of images. Bytes are divided by 255.
    coupled : bool
        Whether normalisation is over all tasks of a batch instead of each for itself.
    """

    n_channels = 32
    parts_a_layer = 4

    def __init__(self, images, coupled):
        self.images, self.coupled = images, coupled
        n_colours = images.shape[3] if images.ndim == 4 else 1
        channels = [n_colours, *[self.n_channels] * 4]
        self.shapes = [
            shape
            for before, after in pairwise(channels)
            for shape in ((after, before, 3, 3), (after,), (after,), (after,))
        ]
        side = [size // 16 for size in images.shape[1:3]]
        self.n_features = self.n_channels * side[0] * side[1]
        self._tensors = {}

    def __call__(self, x, indices):
        import torch  # takes seconds
        from torch.nn.functional import batch_norm, conv2d, max_pool2d

        n_tasks, n_rows = indices.shape
        n_groups = 1 if self.coupled else n_tasks  # each with statistics of its own
        maps = self._chosen(indices, x)
        parts = self.parts(x)
        for kernel, bias, scale, shift in zip(*[parts] * 4, strict=True):
            # ReLU after the maxima is the same, on a quarter of the numbers.
            maps = max_pool2d(conv2d(maps, kernel, bias, padding=1), 2).relu()
            groups = maps.chunk(n_groups)
            maps = torch.cat(
                [batch_norm(g, None, None, scale, shift, training=True) for g in groups]
            )
        return maps.tanh().reshape(n_tasks, n_rows, -1)

    def _chosen(self, indices, x):
        """Images by their indices, (…, colours, height, width), of the type of `x`."""
        import torch

        if x.device not in self._tensors:
            self._tensors[x.device] = torch.tensor(self.images, device=x.device)
        chosen = self._tensors[x.device][indices.flatten()]
        is_bytes = chosen.dtype == torch.uint8
        chosen = chosen.to(x) / (255 if is_bytes else 1)
        return chosen[:, None] if chosen.ndim == 3 else chosen.movedim(3, 1)
