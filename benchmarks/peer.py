"""Speed of one solver of benchopt/benchmark_bilevel (JAX), on arrays given to it.

    python benchmarks/peer.py CLONE CELL SOLVER DTYPE ARRAYS.npz

Runs under the peer's own Python, with jax, click, numpy and what its solvers import. The
solvers are the peer's files, unchanged; the losses are ours, per sample as its data sets
write them. The clock waits for the work.
"""

import importlib.util
import json
import statistics
import sys
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

clone, cell, name, dtype, path = sys.argv[1:]
jax.config.update("jax_enable_x64", dtype == "float64")
here = Path(__file__).parent
sys.path[:0] = [clone, str(here), str(here.parent)]

# The peer's Python knows neither this folder nor the suite before the line above.
from throughput import STEP_SIZE, time_chunks  # noqa: E402

arrays = {
    key: jnp.array(value.astype(dtype) if value.dtype.kind == "f" else value)
    for key, value in np.load(path).items()
}


def binary(z, x, a, y):
    return -jax.nn.log_sigmoid(y * jnp.dot(z, a))


def multiclass(z, x, a, y):
    scores = a @ z.reshape(a.size, -1)
    return jax.nn.logsumexp(scores) - scores[y]


LOSSES = {
    # cell: (loss of a sample, regulariser, weight of a sample's loss in g)
    "ijcnn1": (binary, lambda z, x: jnp.dot(jnp.exp(x) * z, z) / 2, None),
    "covtype": (
        multiclass,
        lambda z, x: jnp.dot(jnp.exp(x), (z.reshape(-1, x.size) ** 2).sum(axis=0)) / 2,
        None,
    ),
    "mnist": (multiclass, lambda z, x: 0.2 * jnp.dot(z, z), jax.nn.sigmoid),
}


def make_loss(side):
    sample_loss, regulariser, weight = LOSSES[cell]
    a, y = arrays[f"{side}_0"], arrays[f"{side}_1"]

    @partial(jax.jit, static_argnames="batch_size")
    def loss(inner_var, outer_var, start=0, batch_size=1):
        z, x = inner_var, outer_var
        batch_a = jax.lax.dynamic_slice(a, (start, 0), (batch_size, a.shape[1]))
        batch_y = jax.lax.dynamic_slice(y, (start,), (batch_size,))
        losses = jax.vmap(sample_loss, in_axes=(None, None, 0, 0))(
            z, x, batch_a, batch_y
        )
        if side == "outer":
            return losses.mean()
        if weight is not None:
            losses *= weight(jax.lax.dynamic_slice(x, (start,), (batch_size,)))
        return losses.mean() + regulariser(z, x)

    return loss


file = Path(clone) / "solvers" / f"{name.lower()}.py"
spec = importlib.util.spec_from_file_location("peer_solver", file)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
own = {"batch_size": 64} if "batch_size" in module.Solver.parameters else {}
if "delta_lmbda" in module.Solver.parameters:
    own["delta_lmbda"] = 0.0  # F2SA's multiplier would grow until the run diverges
solver = module.Solver.get_instance(step_size=STEP_SIZE, **own)
solver.run_once = lambda stop_val: None  # the warm-up is below
solver.set_objective(
    make_loss("inner"),
    make_loss("outer"),
    len(arrays["inner_0"]),
    len(arrays["outer_0"]),
    arrays["z"],
    arrays["x"],
)


def advance(n_iterations, epoch=512):
    """At least `n_iterations`, in calls of the peer's compiled epoch."""
    global state, t
    for _ in range(-(-n_iterations // epoch)):
        if name == "SABA":
            memory, carry = state
            state = solver.one_epoch(carry, memory, epoch)
        elif name in ("VRBO", "SRBA"):
            state = solver.one_epoch(state, epoch, t)
        else:
            state = solver.one_epoch(state, epoch)
        t += epoch
    jax.block_until_ready(state)


def time_iterations(seconds=4.0, n_first=2):
    """Median iterations per second of a solver that is one loop; the first compile."""
    times = []

    def callback():
        jax.block_until_ready((solver.inner_var, solver.outer_var))
        times.append(time.perf_counter())
        return len(times) < n_first + 3 or times[-1] - times[n_first] < seconds

    solver.run(callback)
    return 1 / statistics.median(np.diff(times)[n_first:])


if hasattr(solver, "one_epoch"):
    state, t = solver.init(), 1  # at 0 there is a large batch
    advance(1)
    speed = time_chunks(lambda k: advance(512 * k)) * 512
else:  # of full batches
    speed = time_iterations()
print(json.dumps({"iterations_per_second": speed}))
