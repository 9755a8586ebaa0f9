"""What a solver needs of a problem and of the machine, and what of it is not there."""

from textwrap import shorten

from benchopt.parallel_backends import is_distributed_frontal

from benchmark_bilevel.oracles import MATRIX_LIMIT
from benchmark_bilevel.runtimes import TASK_STATES


def lack_of(solver, problem):
    """What `problem` lacks that `solver` needs, in a line; None if nothing."""
    if solver.runtime == "numba" and problem.kernels is None:
        return f"{problem.name} ships no numba kernels: runtime=torch"
    if problem.made_of_tasks:
        reason = _lack_of_tasks(solver, problem)
        if reason is not None:
            return reason
    elif solver.task_state != TASK_STATES[0]:
        return f"{problem.name} is not made of tasks: task_state={TASK_STATES[0]}"
    if solver.needs_matrices:  # else nothing is asked that would split the data
        dim_z = problem.dim_drawn(solver.batch_size)
        if dim_z > MATRIX_LIMIT:
            return (
                f"{solver.name} needs ∇²zz g as a matrix, up to dim z = "
                f"{MATRIX_LIMIT}; here it is {dim_z}"
            )
    if solver.scales_steps and problem.project and not problem.project_scaled:
        return (
            f"{problem.name} has no projection for steps that differ between "
            "entries (project_scaled)"
        )
    return None


def _lack_of_tasks(solver, problem):
    """The same of a `problem` made of tasks."""
    if solver.needs_all_of_z:
        return (
            f"{solver.name} needs all of z at a time; {problem.name} is made of tasks, "
            "and an iteration has the rows of a few, of different ages"
        )
    if solver.needs_minimisation and problem.contraction is not None:
        return (
            f"{solver.name} needs a loss g and a symmetric ∇²zz g; the inner problem "
            f"of {problem.name} is a fixed point"
        )
    if problem.n_tasks < 2:
        return f"{problem.name} is made of tasks, and here is one only"
    limit = problem.largest_batch
    if limit is not None and problem.n_drawn(solver.batch_size) > limit:
        return (
            f"an iteration of {problem.name} on {problem.n_drawn(solver.batch_size)} "
            f"tasks may not fit into memory: batch_size at most {limit}"
        )
    return None


def device_error(device):
    """Why torch cannot compute on `device` here; None if it can."""
    import torch  # takes seconds

    try:
        device = torch.device(str(device))
        # The front node of a cluster lacks the devices of the nodes that will compute.
        if not is_distributed_frontal():
            float(torch.zeros(1, device=device))
    except Exception as error:  # of what kind depends on how torch was built
        return shorten(str(error), 90)
    return None
