"""The check of samples: which derivatives share them."""

from collections import defaultdict

from benchmark_bilevel.verification import Failed, NotDeclared
from benchmark_bilevel.verification.cases import (
    STEPS,
    SmallQuadratic,
    quadratic_data,
)


def samples(subject):
    """No sample serves two kinds of derivative, if the method says so."""
    if subject.has_full_batches:
        return "its batches are full"
    shared = _shared_kinds(subject)
    text = "each derivative has its own samples"
    if shared:
        text = f"one sample serves {' and '.join(shared)}"
    declared = subject.solver.shares_samples
    if declared is None:
        raise NotDeclared(f"shares_samples is not set; found: {text}")
    if bool(shared) != declared:
        raise Failed(f"declared shares_samples={declared}, found: {text}")
    return text


def _shared_kinds(subject, n_samples=4000):
    """Kinds of inner derivatives that shared a block within one iteration.

    Blocks of one sample, reshuffled and more than the run needs: a block that comes
    twice was drawn once. Iteration 0 is left out, where methods pass over all data.
    """
    problem = SmallQuadratic(quadratic_data(n_samples, n_samples))
    runtime = subject.runtime(
        problem, runtime="torch", **STEPS, batch_size=1, outer_batch_size=1
    )
    uses = defaultdict(set)
    kinds = "grad grad_x grads hvp cross grad_hvp_cross hessian cross_matrix"
    for kind in kinds.split():
        _watch(runtime.inner, kind, uses)
    shared = set()
    for t in range(4):
        uses.clear()
        runtime.advance(t + 1)
        for kinds in uses.values() if t else ():
            names = {kind for kind, _ in kinds}
            points = [point for kind, point in kinds if kind == "hvp"]
            if len(names) > 1 or "grad_hvp_cross" in names:
                shared |= names
            elif len(points) > len(set(points)):
                shared.add("several Hessian-vector products")
    return sorted(shared)


def _watch(oracle, kind, uses):
    """Record in `uses` which blocks `kind` is asked for, and where."""
    method = getattr(oracle, kind)

    def watched(z, x, *rest):
        uses[int(rest[-1])].add((kind, float(z.sum()) + float(x.sum())))
        return method(z, x, *rest)

    setattr(oracle, kind, watched)
