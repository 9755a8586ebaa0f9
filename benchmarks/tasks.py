"""Problems made of tasks: published figures beside what is seen, and the speed.

    python benchmarks/tasks.py [equilibrium] [few_shot] [speed]

- equilibrium: MNIST, batches of 600, T = K = 3, x's step 0.5: test accuracies of BSGM,
  which starts each task at 0, and of stocBiO, whose states go on where they were; the
  squared norm of the proximal-gradient map at the end. Half an hour.
- few_shot: `glyphs`, 20 ways, 1 shot: test accuracy of BSGM after so many tasks, one at a
  time and some, rows kept and fresh. Ten minutes.
- speed: iterations a second of BSGM against loops written by hand in PyTorch.

All in float32 on one thread; `make test-cuda` prints the speed on a GPU.
"""

import numpy as np
import torch
from parts import command
from task_loops import equilibrium_loop, few_shot_loop
from throughput import pose, solver_class, time_chunks

from benchmark_bilevel.exact.metrics import Evaluator


def start(problem, name, step, outer_step, **parameters):
    """The runtime of a solver with constant steps, in float32."""
    solver = solver_class(name).get_instance(
        step_size=step,
        outer_ratio=step / outer_step,
        outer_exponent=0.0,
        step_exponent=0.0,
        dtype="float32",
        sampling="reshuffled",
        **parameters,
    )
    return solver.make_runtime(problem)


def equilibrium(n_seeds=1):
    problem = pose("equilibrium", "mnist")
    evaluator = Evaluator(problem)
    for name, own in (
        ("BSGM", {"n_steps": 3}),
        ("stocBiO", {"n_inner": 3, "n_neumann": 2, "linear_step": 1.0}),
    ):
        for seed in range(n_seeds):
            run = start(problem, name, 1.0, 0.5, batch_size=600, **own)
            run.start(seed)
            text = []
            for millions in (0.3, 0.6, 1.2, 2.1, 3.0):
                run.advance(round(millions * 1e6 / 600))
                x = run.variables()[1].astype(float)
                accuracy = problem.outer_metrics(x)["test_accuracy"]
                text.append(f"{millions}M {accuracy:.2%}")
            norm = evaluator.metrics(None, x)["hypergradient_norm"]
            print(f"  {name}, seed {seed}: {', '.join(text)}; norm² {norm**2:.1e}")
    print("  (paper's figure: 95 to 98.1 % within 10M, with and without warm start)")


def few_shot():
    problem = pose("few-shot", "glyphs")
    print(f"  raw pixels, nearest mean: {nearest_mean(problem):.1%}")
    for name, own in (
        ("BSGM", {"n_steps": 10}),
        ("stocBiO", {"n_inner": 10, "n_neumann": 9, "linear_step": 0.2}),
    ):
        for batch_size in (1, 2, 4, 8):
            states = ("fresh",) if name == "BSGM" else ("kept", "fresh")
            for state in states if batch_size == 1 else states[:1]:
                run = start(
                    problem,
                    name,
                    0.2,
                    0.2,
                    batch_size=batch_size,
                    task_state=state,
                    **own,
                )
                text = []
                for n_tasks in (100, 200, 400):
                    run.advance(n_tasks // batch_size)
                    x = run.variables()[1].astype(float)
                    accuracy = problem.outer_metrics(x)["test_accuracy"]
                    text.append(f"{run.t * batch_size} tasks {accuracy:.1%}")
                print(
                    f"  {name}, {batch_size} at a time, {state} "
                    f"({run.row_bytes / 1e6:.1f} MB): {', '.join(text)}"
                )


def nearest_mean(problem):
    """Accuracy of the class whose supports have the nearest mean, on the tests."""
    data = problem.data
    images = data["images"].reshape(len(data["images"]), -1)
    right = []
    for support, query, labels, targets in zip(
        *(
            data[f"test_{name}"]
            for name in ("support", "query", "support_targets", "query_targets")
        ),
        strict=True,
    ):
        means = np.array(
            [images[support[labels == k]].mean(0) for k in range(problem.n_outputs)]
        )
        distances = ((images[query][:, None] - means) ** 2).sum(2)
        right.append(np.mean(distances.argmin(1) == targets))
    return np.mean(right)


def speed(devices=("cpu",)):
    torch.set_num_threads(1)
    for problem, batch_size, own, loop in (
        (pose("equilibrium", "mnist"), 600, {"n_steps": 3}, equilibrium_loop),
        (pose("few-shot", "glyphs"), 4, {"n_steps": 10}, few_shot_loop),
    ):
        step = 1.0 if problem.contraction else 0.2
        own |= {"batch_size": batch_size}
        for device in devices:
            run = start(problem, "BSGM", step, 0.5 * step, device=device, **own)
            run.advance(20)
            by_hand = loop(problem, batch_size, run.variables()[1], device)

            def ours(k, run=run):
                run.advance(run.t + k)

            def theirs(k, run=run, by_hand=by_hand):
                by_hand(k)
                run.synchronise()

            pairs = [
                [time_chunks(function, 1, 1.5) for function in (ours, theirs)]
                for _ in range(5)
            ]
            speeds = np.median(pairs, 0)
            print(
                f"  {problem.name}, {batch_size} tasks, {device}: {speeds[0]:.1f} "
                f"iterations/s, by hand {speeds[1]:.1f}: {speeds[0] / speeds[1]:.2f}"
            )


if __name__ == "__main__":
    command(__doc__, equilibrium, few_shot, speed)()
