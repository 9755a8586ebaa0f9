"""Rates and biases on a small quadratic, beside what papers and estimates say.

    python benchmarks/rates.py

Straight lines of variance reduction, with small batches and constant steps; slopes of
methods whose steps decrease; distances from the minimum of methods that have a bias. A
minute and a half, of which compiling is a third.
"""

from pathlib import Path

import numpy as np

from benchmark_bilevel.verification.cases import FULL, Subject
from benchmark_bilevel.verification.plugin import load
from benchmark_bilevel.verification.rates import distances, line, slope

SOLVERS = Path(__file__).parents[1] / "solvers"
SMALL = {}  # the batches of `line`
# STORM's weights go to 0 with the steps: SVRB has a line with full batches alone.
LINES = dict.fromkeys(("saba", "srba", "spaba", "mseba", "sffba"), SMALL) | {
    "svrb": FULL
}
# Exponents of t in the papers' bounds of E ‖∇h‖², for the default exponents of steps.
SLOPES = {
    **{"soba": -1 / 2, "ma_soba": -1 / 2, "fsla": -1 / 2},
    **{"sustain": -2 / 3, "svrb": -2 / 3},
}
STEPS = {"step_size": 0.2, "linear_step": 0.2}
# Long enough to forget the start; samples independent, as in the analyses: reshuffled
# ones let SOBA fall as 1 / t.
TAIL = {"first": 10_000, "last": 100_000, "sampling": "with-replacement"}
TAIL |= {"step_size": 1.0, "linear_step": 1.0}


def subject(name):
    return Subject(load(SOLVERS / f"{name}.py").Solver)


def straight_lines():
    print("Straight lines: h − h* with batches of 8 of 60 and 7 of 40, constant steps;")
    print("SVRB's with full batches")
    print("solver     iterations  to      decades an iteration  off the line by")
    for name, batches in LINES.items():
        found = line(subject(name), outer_ratio=4.0, **STEPS, **batches)
        print(
            f"{name:<10} {found.iterations:>10,}  {found.end:.0e}"
            f"  {found.slope:>20.2e}  {found.deviation:.1f} decades"
        )


def slopes():
    print("\nSlopes: exponent of t in the mean of ‖x − x̄‖², x̄ where the method rests")
    print("solver     bound   found")
    for name, bound in SLOPES.items():
        exponents = {}
        if name == "ma_soba":  # whose steps are constant, of the order of that
            exponents = {"step_exponent": 0.5, "outer_exponent": 0.5}
        found = slope(subject(name), **TAIL, **exponents)
        print(f"{name:<10} {bound:>6.2f}  {found:>6.2f}")


def biases():
    print("\nDistances of x from the minimum: predicted, found")
    for penalty in (1e1, 1e2):
        steps = {**STEPS, "outer_ratio": 4 * penalty}
        judged, n_iterations = subject("v_pbgd"), round(3000 * penalty)
        for n_inner in (1, 5, 20):
            given = {"n_inner": n_inner, "penalty": penalty, "ramp": 1, **steps}
            show(f"v_pbgd, T = {n_inner}, γ = {penalty:g}", judged, n_iterations, given)
    judged = subject("bome")
    for n_inner in (1, 5, 20):
        for step in (0.02, 0.005):
            given = {"step_size": step, "linear_step": 0.2, "outer_ratio": 4.0}
            given["n_inner"] = n_inner
            show(f"bome, T = {n_inner}, ρ = {step:g}", judged, round(4e3 / step), given)
    for name in ("f2sa", "f2ba"):
        judged = subject(name)
        for penalty in (10.0, 100.0):
            given = {"penalty": penalty, "outer_ratio": 4 * penalty, **STEPS}
            predicted, found, _ = distances(judged, round(2000 * penalty), **given)
            print(
                f"{name}, λ = {penalty:g}: {predicted:.3e}, {found:.3e}; "
                f"times λ {penalty * predicted:.4f}, {penalty * found:.4f}"
            )
    judged = subject("f2sa_p")
    for order in range(1, 6):
        pairs = []
        for penalty in (10.0, 20.0):
            given = {"penalty": penalty, "outer_ratio": 4 * penalty, "order": order}
            pairs.append(distances(judged, round(2500 * penalty), **STEPS, **given))
        predicted, found, _ = np.log2(np.divide(*pairs))
        print(
            f"f2sa_p, order {order}, λ = 20: {pairs[1][0]:.2e}, {pairs[1][1]:.2e}; "
            f"order by halving 1/λ {predicted:.2f}, {found:.2f}"
        )


def show(what, judged, n_iterations, given):
    predicted, found, apart = distances(judged, n_iterations, **given)
    print(f"{what}: {predicted:.4e}, {found:.4e}; the points are {apart:.1e} apart")


if __name__ == "__main__":
    straight_lines()
    slopes()
    biases()
