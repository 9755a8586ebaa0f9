"""Result files like benchopt's, made up: curves of known shape, without any run."""

import numpy as np
import pandas as pd
from benchopt.results.parquet import to_parquet

PROVENANCE = {
    "benchmark_bilevel": "0.1.0",
    "fingerprint": "0123456789abcdef",
    "commit": "0" * 40,
    **dict.fromkeys(("benchopt", "torch", "numba", "numpy", "scipy"), "1.0"),
    "blas": [{"internal_api": "openblas", "version": "0.3", "num_threads": "1"}],
    "cpu_features": ["AVX2"],
}
METRICS = (
    *("value", "suboptimality", "hypergradient_norm", "inner_distance"),
    *("test_accuracy", "test_loss", "oracle_calls", "iterations", "diverged"),
)
SOLVERS = ("SOBA", "SABA", "AmIGO", "stocBiO", "BSGM", "MRBO")


def run(solver, rate, repetition, n_points=40, diverged=False, has_reference=True):
    """Metrics of one run: the gap falls as (1 + rate · t)^−1 with a little noise."""
    generator = np.random.default_rng([len(solver), int(1e6 * rate), repetition])
    iterations = np.concatenate(
        [[0], np.unique(np.geomspace(1, 1e5, n_points).astype(int))]
    )
    noise = np.exp(0.1 * generator.standard_normal(len(iterations)))
    gaps = noise / (1 + rate * iterations)
    gaps[0] = 1.0
    results = pd.DataFrame(
        {
            "stop_val": range(len(iterations)),
            "time": 1e-6 + iterations * 1e-5 * (1 + 0.1 * generator.random()),
            "objective_value": 0.3 + gaps,
            "objective_suboptimality": gaps if has_reference else np.nan,
            "objective_hypergradient_norm": np.sqrt(gaps),
            "objective_inner_distance": np.sqrt(gaps) / 2,
            "objective_test_accuracy": 0.9 - 0.4 * np.minimum(gaps, 1),
            "objective_test_loss": 0.2 + gaps,
            "objective_oracle_calls": 256.0 * iterations,
            "objective_iterations": iterations.astype(float),
            "objective_diverged": 0.0,
        }
    )
    if diverged:
        results = results.iloc[:15].copy()
        metrics = [f"objective_{name}" for name in METRICS[:6]]
        results.loc[10:, metrics] *= 1e3
        results.loc[14, metrics] = np.nan
        results.loc[14, "objective_diverged"] = 1.0
    return results


def cell(solver, step_size, repetition, dataset="ijcnn1", problem=None, **options):
    """A run with the columns that benchopt adds."""
    problem = problem or "hyperparameter-selection"
    results = run(solver, step_size, repetition, **options)
    parameters = {
        "batch_size": 64,
        "linear_step": None,
        "max_oracle_calls": np.inf,
        "step_size": step_size,
    }
    names = ",".join(f"{key}={value}" for key, value in parameters.items())
    settings = {"problem": problem, "split_seed": None}
    objective = ",".join(f"{key}={value}" for key, value in settings.items())
    columns = {
        "base_seed": 0,
        "objective_name": f"Bilevel[{objective}]",
        "obj_description": "Bilevel",
        "solver_name": f"{solver}[{names}]",
        "solver_description": f"{solver}: a method.\n\nReferences\n----------\nA. B.",
        "dataset_name": dataset,
        "idx_rep": repetition,
        "file_solver": f"solvers/{solver.lower()}.py",
        **{f"p_obj_{key}": value for key, value in settings.items()},
        **{f"p_solver_{key}": value for key, value in parameters.items()},
        "system-cpus": 2,
        "platform": "Linux",
        "platform-release": "6",
        "platform-architecture": "x86_64",
        "version-numpy": "2.0",
        "run_date": "2026-01-01T00:00:00",
    }
    results = results.assign(**columns)
    if problem == "data-poisoning":  # measured at the end only
        at_end = results.index == results.index[-1]
        accuracy = results["objective_test_accuracy"].where(at_end)
        results["objective_retrained_test_accuracy"] = accuracy
    results["final_results"] = None
    final = {"z": np.zeros(3), "x": np.ones(2), "provenance": PROVENANCE}
    results.at[results.index[-1], "final_results"] = final
    return results


def cells(solvers=SOLVERS, step_sizes=(0.1,), n_repetitions=5, **options):
    """Runs of all solvers with all step sizes."""
    return pd.concat(
        [
            cell(solver, step_size * (1 + k), repetition, **options)
            for k, solver in enumerate(solvers)
            for step_size in step_sizes
            for repetition in range(n_repetitions)
        ],
        ignore_index=True,
    )


def write(results, path):
    """`results` as a result file."""
    to_parquet(results, path)
    return path
