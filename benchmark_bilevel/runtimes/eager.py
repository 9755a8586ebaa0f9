"""The torch runtime: a solver's text as Python, any problem, any device."""

import torch

from benchmark_bilevel.oracles.autograd import (
    AutogradInner,
    AutogradOuter,
    one_thread,
    to_tensor,
)
from benchmark_bilevel.runtimes import Runtime, bind_step


class EagerRuntime(Runtime):
    """Runs the solver eagerly over autograd oracles; see `Runtime`."""

    def __init__(self, *args, device="cpu", **settings):
        if device.startswith("cuda"):
            # Else convolutions round float32 to ten bits, and sum in any order.
            torch.backends.cudnn.allow_tf32 = False
            torch.backends.cudnn.deterministic = True
        super().__init__(*args, device=device, **settings)

    def _make_oracles(self):
        problem = self.problem
        settings = (self.counts, self.dtype, self.device)
        inner = AutogradInner(
            problem.inner_loss,
            problem.inner_regulariser,
            problem.inner_samples,
            self.partitions[0],
            self.samplers[0],
            *settings,
            separate_regulariser=problem.separate_regulariser,
        )
        outer = AutogradOuter(
            problem.outer_loss,
            None,
            problem.outer_samples,
            self.partitions[1],
            self.samplers[1],
            *settings,
            project=problem.project,
            project_scaled=problem.project_scaled,
        )
        return inner, outer

    def _make_loop(self):
        return bind_step(self.solver.step)

    def _variable(self, array):
        return to_tensor(array, self.dtype, self.device)

    def _to_numpy(self, tensor):
        return tensor.to("cpu", copy=True).numpy()

    def _has_norm(self, tensor):
        return bool(torch.isfinite((tensor * tensor).sum()))

    def advance(self, *args, **kwargs):
        """As `Runtime.advance`, on one thread."""
        with one_thread():
            super().advance(*args, **kwargs)

    def synchronise(self):
        if self.device.startswith("cuda"):
            torch.cuda.synchronize(self.device)
