"""BSGM on tasks, written by hand in PyTorch: what `tasks.py speed` compares with."""

from itertools import count

import torch
from torch.func import functional_call
from torch.nn.functional import cross_entropy


def equilibrium_loop(
    problem, batch_size, x, device="cpu", n_steps=3, step=0.5, radius=0.5
):
    """A function k -> k iterations: Picard steps from 0 on states and adjoints.

    `x` is where it starts: once A is on the boundary, every iteration has an SVD.
    """
    inputs, labels = (
        torch.tensor(samples[0], device=device)
        for samples in (problem.inner_samples, problem.outer_samples)
    )
    inputs = inputs.float()
    A, B, c, D, beta = (
        part.to(device, copy=True).requires_grad_()
        for part in problem.parts(torch.tensor(x))
    )
    order = iter(torch.randperm(len(labels)).split(batch_size))

    def iterate():
        nonlocal order
        tasks = next(order, None)
        if tasks is None:
            order = iter(torch.randperm(len(labels)).split(batch_size))
            tasks = next(order)
        drive = inputs[tasks] @ B + c
        with torch.no_grad():
            z = torch.tanh(drive)
            for _ in range(n_steps - 1):
                z = torch.tanh(z @ A + drive)
        z.requires_grad_()
        loss = cross_entropy(z @ D + beta, labels[tasks])
        fz, fD, fbeta = torch.autograd.grad(loss, (z, D, beta))
        image, v = torch.tanh(z @ A + drive), fz
        for _ in range(n_steps - 1):
            v = fz + torch.autograd.grad(image, z, v, retain_graph=True)[0]
        gradients = torch.autograd.grad(image, (A, B, c), v)
        with torch.no_grad():
            parts = (A, B, c, D, beta)
            for part, g in zip(parts, (*gradients, fD, fbeta), strict=True):
                part -= step * g
            if torch.linalg.norm(A) > radius:
                U, singular, Vt = torch.linalg.svd(A)
                if singular[0] > radius:
                    A.copy_((U * singular.clamp(max=radius)) @ Vt)

    return lambda k: [iterate() for _ in range(k)]


class Features(torch.nn.Sequential):
    """The network of few-shot learning, of PyTorch's layers."""

    def __init__(self, n_channels=32):
        super().__init__()
        for k in range(4):
            self.extend(
                (
                    torch.nn.Conv2d(n_channels if k else 1, n_channels, 3, padding=1),
                    torch.nn.ReLU(),
                    torch.nn.MaxPool2d(2),
                    torch.nn.BatchNorm2d(n_channels, track_running_stats=False),
                )
            )
        self.extend((torch.nn.Flatten(), torch.nn.Tanh()))


def few_shot_loop(
    problem, batch_size, x, device="cpu", n_steps=10, step=0.1, inner_step=0.2
):
    """A function k -> k iterations: each task's head by gradient descent, then adjoints.

    The gradient of x is accumulated over the tasks, one after the other, as loops by hand
    have it.
    """
    data = problem.data
    images = torch.tensor(data["images"], device=device)[:, None]
    arrays = [
        torch.tensor(data[name], device=device)
        for name in ("support", "support_targets", "query", "query_targets")
    ]
    network = Features()
    with torch.no_grad():
        for weight, part in zip(
            network.parameters(), problem.network.parts(torch.tensor(x)), strict=True
        ):
            weight.copy_(part.reshape(weight.shape))
    network.to(device)
    weights = dict(network.named_parameters())
    tasks = count()

    def head_loss(z, features, targets):
        W, b = z[:, :-1], z[:, -1]
        return cross_entropy(features @ W.T + b, targets)

    def inner_loss(z, features, targets):
        return head_loss(z, features, targets) + 0.5 * problem.ridge * (z**2).sum()

    def accumulate(task):
        support, targets, query, query_targets = (array[task] for array in arrays)
        features, query = (
            functional_call(network, weights, images[indices])
            for indices in (support, query)
        )
        shape = problem.n_outputs, problem.network.n_features + 1
        z = torch.zeros(shape, device=device)
        fixed = features.detach()
        for _ in range(n_steps):
            z.requires_grad_()
            (g,) = torch.autograd.grad(inner_loss(z, fixed, targets), z)
            z = z.detach() - inner_step * g
        z.requires_grad_()
        loss = head_loss(z, query, query_targets)
        (fz,) = torch.autograd.grad(loss, z, retain_graph=True)
        (g,) = torch.autograd.grad(
            inner_loss(z, features, targets), z, create_graph=True
        )
        v = torch.zeros_like(z)
        for _ in range(n_steps):
            (Hv,) = torch.autograd.grad(g, z, v, retain_graph=True)
            v = v - inner_step * (Hv + fz)
        torch.autograd.backward((loss, (g * v).sum()), inputs=list(weights.values()))

    def iterate():
        for _ in range(batch_size):
            accumulate(next(tasks) % len(arrays[0]))
        with torch.no_grad():
            for weight in weights.values():
                weight -= step / batch_size * weight.grad
                weight.grad = None

    return lambda k: [iterate() for _ in range(k)]
