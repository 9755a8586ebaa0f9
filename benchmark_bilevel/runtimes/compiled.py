"""The numba runtime: the same text compiled, over closed-form oracles."""

from functools import cache

import numpy as np
from numba import njit

from benchmark_bilevel.ends import has_norm
from benchmark_bilevel.faults import location
from benchmark_bilevel.fingerprint import PIECE, cached_njit, edition_of
from benchmark_bilevel.runtimes import Runtime, bind_step
from benchmark_bilevel.runtimes.rehearsal import rehearse


class CompiledRuntime(Runtime):
    """Runs the compiled solver over the problem's kernels; see `Runtime`."""

    def _make_oracles(self):
        kernels = self.problem.kernels
        return tuple(
            build(self.problem, partition, sampler, self.counts, self.dtype)
            for build, partition, sampler in zip(
                (kernels.make_inner, kernels.make_outer),
                self.partitions,
                self.samplers,
                strict=True,
            )
        )

    def _make_loop(self):
        rehearse(self)
        # One cache a module of kernels, as in `losses`.
        name = f"{self.solver.name}-loop-{edition_of(self.problem.kernels)}"
        return _compiled(self.solver.step, name)

    def advance(self, *args, **kwargs):
        """As `Runtime.advance`; an error of numba carries the place of the step."""
        try:
            super().advance(*args, **kwargs)
        except Exception as error:  # whatever numba or the step raises
            error.add_note(location(self.solver.step))
            raise

    def _variable(self, array):
        return np.array(array, dtype=self.dtype)

    def _to_numpy(self, array):
        return array.copy()

    def _has_norm(self, array):
        return has_norm(array)


@cache
def _compiled(step, name):
    """The compiled loop around `step`, one for all runs in a process."""
    return cached_njit(bind_step(step, name, compiled=njit(**PIECE)))
