"""Mistakes found in published code of these methods, put back one by one.

Each mutant is the text of a solver (or of the estimators that it names) with one edit,
and has to fail the check named beside it.
"""

import sys
import types

import numpy as np
import pytest
from conftest import ROOT, load_plugin
from test_methods import EXPONENTS, default_exponents
from test_references import OWN, check_iterates
from test_samplers import epochs_are_sound
from test_solvers import elements_of_iterations

from benchmark_bilevel import methods
from benchmark_bilevel.exact import newton
from benchmark_bilevel.oracles import autograd, samplers
from benchmark_bilevel.oracles.samplers import Partition
from benchmark_bilevel.problems.template_problem import RidgeSelection
from benchmark_bilevel.runtimes import Runtime
from benchmark_bilevel.runtimes.eager import EagerRuntime
from benchmark_bilevel.verification import Failed, conduct, counting, problems, sampling
from benchmark_bilevel.verification.cases import (
    RAGGED,
    Subject,
    small_instance,
    small_quadratic,
)
from benchmark_bilevel.verification.iterations import bias, directions
from benchmark_bilevel.verification.settled import settled_hypergradient
from benchmark_bilevel.verification.state import data_stay, seeds, variables_move
from benchmark_bilevel.verification.tuning import steps_matter

METHODS = ROOT / "benchmark_bilevel" / "methods"


# name: (solver, file of the edit, [(old, new), …], check, words of the message)
MUTANTS = {
    "second derivatives where the run began": (
        "ma_soba",
        "solver",
        [
            (
                "zeros_like(z), zeros_like(x)",
                "zeros_like(z), zeros_like(x), 1 * z, 1 * x",
            ),
            ("z, x, v, h = state", "z, x, v, h, z0, x0 = state"),
            (
                "gz, hv, jv = inner.grad_hvp_cross(z, x, v, inner.draw())",
                "i = inner.draw()\n        gz = inner.grad(z, x, i)\n"
                "        hv, jv = inner.hvp(z0, x0, v, i), inner.cross(z0, x0, v, i)",
            ),
        ],
        settled_hypergradient,
        "off the declared estimate",
    ),
    "a step of its own for z": (
        "soba",
        "solver",
        [("descend(z, steps.inner,", "descend(z, 0.1,")],
        steps_matter,
        "step_size makes no difference to z",
    ),
    "a step of its own for v": (
        "soba",
        "solver",
        [("descend(v, steps.linear,", "descend(v, 0.1,")],
        steps_matter,
        "linear_step makes no difference to x",
    ),
    "cross-derivative sign flipped": (
        "soba",
        "solver",
        [
            (
                "outer.descend(x, steps.outer, jv, fx)",
                "outer.descend(x, steps.outer, -jv, fx)",
            )
        ],
        settled_hypergradient,
        "cross-derivative term J v has the wrong sign",
    ),
    "∇x f never added": (
        "stocbio",
        "solver",
        [("steps.outer, jv, fx)", "steps.outer, jv)")],
        settled_hypergradient,
        "∇x f is missing",
    ),
    "first term of the series missing": (
        "stocbio",
        "estimators",
        [("    descend(total, -1.0, term)\n    for j", "    for j")],
        directions,
        "direction of x",
    ),
    "factor η missing": (
        "stocbio",
        "estimators",
        [("descend(term, step, b)", "descend(term, 1.0, b)")],
        directions,
        "direction of x",
    ),
    "factor η on the last term only": (
        "stocbio",
        "estimators",
        [
            ("descend(term, step, b)", "descend(term, 1.0, b)"),
            ("    descend(total, -1.0, term)\n    for j", "    for j"),
            (
                "    return total\n\n\n@piece\ndef draw_hia",
                "    descend(total, 1.0 - step, term)\n    return total\n\n\n"
                "@piece\ndef draw_hia",
            ),
        ],
        directions,
        "direction of x",
    ),
    "one Hessian batch for the whole series": (
        "stocbio",
        "batches",
        [
            (
                "    return blocks, ends\n",
                "    blocks[:] = blocks[0]\n    return blocks, ends\n",
            )
        ],
        bias,
        "samples reused",
    ),
    "sizes of the Hessian batches do not decrease": (
        "stocbio",
        "batches",
        [("(1.0 - rate) ** j", "(1.0 - rate) ** 0")],
        counting.counts,
        "declared",
    ),
    "linear system started at ∇z f": (
        "bsgm",
        "solver",
        [("v = zeros_like(z)", "v = copy(fz)")],
        directions,
        "direction of x",
    ),
    "warm start of z": (
        "bsgm",
        "solver",
        [("        assign(z, z0)\n", "")],
        directions,
        "direction of x",
    ),
    "one sample for the linear system and the cross derivative": (
        "bsgm",
        "solver",
        [
            (
                "linear_sgd(inner, z, x, v, fz, steps.linear, n_steps, decrease)\n",
                "batch = draw_batch(inner, n_means)\n"
                "        for i in batch:\n"
                "            v -= steps.linear * (inner.hvp(z, x, v, i) + fz)\n",
            ),
            ("v, draw_batch(inner, n_means))", "v, batch)"),
        ],
        sampling.samples,
        "one sample serves cross and hvp",
    ),
    "diverging linear system replaced by zero": (
        "bsgm",
        "solver",
        [
            (
                "        jv = mean",
                "        v = zeros_like(z) if abs(v).max() > 1e9 else v\n"
                "        jv = mean",
            )
        ],
        conduct.divergence,
        "linear step",
    ),
    "x is the iterate before the last step": (
        "amigo",
        "solver",
        [
            ("return z, x, zeros_like(z)", "return z, x, zeros_like(z), zeros_like(x)"),
            ("z, x, v = state", "z, x, v, d = state"),
            (
                "outer.descend(x, steps.outer, jv, fx)",
                "outer.descend(x, steps.outer, d)\n        d[:] = jv + fx",
            ),
        ],
        directions,
        "direction of x",
    ),
    "no projection": (
        "amigo",
        "solver",
        [("outer.descend(x, steps.outer, jv, fx)", "x -= steps.outer * (jv + fx)")],
        conduct.constraint,
        "feasible set",
    ),
    "old point at 0": (
        "mrbo",
        "solver",
        [
            ("copy(z), copy(x)", "zeros_like(z), zeros_like(x)"),
            ("if t == 0:", "if t < 0:"),
            ("storm_momentum(t, inner_momentum, step_exponent)", "inner_momentum"),
            ("storm_momentum(t, outer_momentum, step_exponent)", "outer_momentum"),
        ],
        directions,
        "direction of x",
    ),
    "old and new variables are one": (
        "mrbo",
        "solver",
        [
            (
                "z, x, u, d, z_old, x_old = state",
                "z, x, u, d, _, _ = state\n        z_old, x_old = z, x",
            )
        ],
        directions,
        "after iteration 1",
    ),
    "step on z applied twice": (
        "mrbo",
        "solver",
        [("descend(z, steps.inner, u)", "descend(z, 2 * steps.inner, u)")],
        directions,
        "z after iteration 0",
    ),
    "step on x applied twice": (
        "mrbo",
        "solver",
        [("outer.descend(x, steps.outer, d)", "outer.descend(x, 2 * steps.outer, d)")],
        directions,
        "direction of x",
    ),
    "cross derivative on the sample of the inner gradient": (
        "mrbo",
        "solver",
        [
            (
                "i, samples = inner.draw(), "
                "draw_hypergradient(inner, outer, n_neumann)",
                "samples = draw_hypergradient(inner, outer, n_neumann)\n"
                "        i = samples[2][0]",
            )
        ],
        sampling.samples,
        "one sample serves cross and grad",
    ),
    "old gradients at the new x": (
        "vrbo",
        "solver",
        [
            ("inner.grad(z_old, x_old, i)", "inner.grad(z_old, x, i)"),
            ("outer, z_old, x_old, linear_step", "outer, z_old, x, linear_step"),
        ],
        directions,
        "off",
    ),
    "no large batch after the first": (
        "vrbo",
        "solver",
        [("t % period == 0:\n            batch", "t == 0:\n            batch")],
        counting.counts,
        "declared",
    ),
    "full memory ignored": (
        "saba",
        "solver",
        [("if t == 0 and full_memory:\n            for", "if t < 0:\n            for")],
        counting.counts,
        "declared",
    ),
    "average of the table not divided by its length": (
        "saba",
        "variance_reduction",
        [("average += change / table.shape[0]", "average += change")],
        settled_hypergradient,
        "z settles",
    ),
    "ALSET's linear system starts at −∇z f": (
        "alset_ls",
        "solver",
        [("descend(v, start, fz)", "descend(v, 1.0, fz)")],
        directions,
        "direction of x",
    ),
    "TTSA's cross derivative on the sample of the inner gradient": (
        "ttsa",
        "solver",
        [
            (
                "        descend(z, steps.inner, inner.grad(z, x, inner.draw()))\n"
                "        samples = draw_hia_hypergradient(inner, outer, n_terms)\n",
                "        samples = draw_hia_hypergradient(inner, outer, n_terms)\n"
                "        descend(z, steps.inner, inner.grad(z, x, samples[2]))\n",
            )
        ],
        sampling.samples,
        "one sample serves cross and grad",
    ),
    "BSA starts z where it was": (
        "bsa",
        "solver",
        [("if not warm_start:", "if warm_start:")],
        directions,
        "after iteration 1",
    ),
    "BSA moves x before z": (
        "bsa",
        "solver",
        [
            ("        sgd(inner, z, x, steps.inner, n_steps)\n", ""),
            (
                "        outer.descend(x, steps.outer, h)\n",
                "        outer.descend(x, steps.outer, h)\n"
                "        sgd(inner, z, x, steps.inner, n_steps)\n",
            ),
        ],
        directions,
        "direction of x after iteration 0",
    ),
    "SMB averages both directions": (
        "smb",
        "solver",
        [
            ("return z, x, zeros_like(x)", "return z, x, zeros_like(x), zeros_like(z)"),
            ("z, x, w = state", "z, x, w, u = state"),
            (
                "descend(z, steps.inner, inner.grad(z, x, inner.draw()))",
                "average(u, 0.1, inner.grad(z, x, inner.draw()))\n"
                "        descend(z, steps.inner, u)",
            ),
        ],
        directions,
        "z after iteration 0",
    ),
    "FSLA's old point at 0": (
        "fsla",
        "solver",
        [
            ("copy(z), copy(x), copy(v)", "zeros_like(z), zeros_like(x), copy(v)"),
            ("if t == 0:", "if t < 0:"),
        ],
        directions,
        "direction of x",
    ),
    "SUSTAIN's old point at 0": (
        "sustain",
        "solver",
        [
            ("copy(z), copy(x)", "zeros_like(z), zeros_like(x)"),
            ("if t == 0:", "if t < 0:"),
            ("storm_momentum(t, inner_weight, step_exponent)", "inner_weight"),
            ("storm_momentum(t, outer_weight, step_exponent)", "outer_weight"),
        ],
        directions,
        "direction of x",
    ),
    "SUSTAIN's old point two steps back": (
        "sustain",
        "solver",
        [
            (
                "        assign(z_old, z)\n        assign(x_old, x)\n",
                "        if t % 2 == 0:\n"
                "            assign(z_old, z)\n            assign(x_old, x)\n",
            )
        ],
        directions,
        "after iteration 2",
    ),
    "STABLE's z does not follow x": (
        "stable",
        "solver",
        [("        descend(z, 1.0, solve_spd(H, J.T @ change))\n", "")],
        directions,
        "z after iteration 0",
    ),
    "STABLE's Hessian starts at 0": (
        "stable",
        "solver",
        [("storm(H, new,", "storm(H, weight,")],
        directions,
        "direction of x after iteration 0",
    ),
    "STABLE adds to the Hessian in every iteration": (
        "stable",
        "solver",
        [
            (
                "        clip_spectrum(H, convexity)\n",
                "        for k in range(len(z)):\n            H[k, k] += 0.01\n",
            )
        ],
        directions,
        "direction of x after iteration 0",
    ),
    "SVRB without ∇x f": (
        "svrb",
        "solver",
        [("steps.outer, J @ v, u)", "steps.outer, J @ v)")],
        settled_hypergradient,
        "∇x f is missing",
    ),
    "z bound to a new array": (
        "soba",
        "solver",
        [("descend(z, steps.inner, dz)", "z = z - steps.inner * dz")],
        variables_move,
        r"z never changes: line \d+, `z = z - steps.inner \* dz`",
    ),
    "x bound to a new array, inside a loop": (
        "amigo",
        "solver",
        [
            (
                "outer.descend(x, steps.outer, jv, fx)",
                "for _ in range(2):\n            x = x - steps.outer * jv",
            )
        ],
        variables_move,
        r"x never changes: line \d+, `x = x - steps.outer \* jv`",
    ),
    "linear system started afresh": (
        "soba",
        "solver",
        [("z, x, v = state\n", "z, x, v = state\n        v = zeros_like(z)\n")],
        variables_move,
        r"v never changes: line \d+, `v = zeros_like\(z\)`.*no warm start",
    ),
    "z left where it is": (
        "soba",
        "solver",
        [("        descend(z, steps.inner, dz)\n", "")],
        variables_move,
        "z never changes in 12 iterations",
    ),
    "a variable of NumPy's": (
        "soba",
        "solver",
        [("return z, x, zeros_like(z)", "return z, x, __import__('numpy').zeros(3)")],
        variables_move,
        r"init makes v by itself \(ndarray of shape \(3,\)\)",
    ),
    "data of g changed": (
        "soba",
        "solver",
        [
            (
                "z, x, v = state\n",
                "z, x, v = state\n        inner.samples[0].mul_(0.5)\n",
            )
        ],
        data_stay,
        "step changes the data of g",
    ),
    "data of f changed": (
        "soba",
        "solver",
        [("z, x, v = state\n", "z, x, v = state\n        outer.samples[2].zero_()\n")],
        data_stay,
        "step changes the data of f",
    ),
    "a field of the compiled oracle": (
        "soba",
        "solver",
        [("z, x, v = state\n", "z, x, v = state\n        inner.a[0] *= 0.5\n")],
        variables_move,
        r"soba.py, line \d+: .*'a'.*Data come through the oracles' calls alone",
    ),
    "always the first batch": (
        "soba",
        "solver",
        [("inner.draw()", "0"), ("outer.draw()", "0")],
        bias,
        "alike, and not the full-batch run",
    ),
    "always the first batch, by the seeds": (
        "soba",
        "solver",
        [("inner.draw()", "0"), ("outer.draw()", "0")],
        seeds,
        "different seeds are identical",
    ),
    "random numbers of NumPy": (
        "soba",
        "solver",
        [
            (
                "from benchmark_bilevel.s",
                "import numpy as np\nfrom benchmark_bilevel.s",
            ),
            ("z, x, v = state\n", "z, x, v = state\n        z += np.random.rand()\n"),
        ],
        seeds,
        r"line \d+, `z \+= np.random.rand\(\)`, draws random numbers that no seed",
    ),
    "calls without names": (
        "soba",
        "solver",
        [
            (
                "Calls(\n            outer_gradients=c,\n            inner_gradients=b,\n"
                "            hessian_vector_products=b,\n"
                "            jacobian_vector_products=b,\n        )",
                "c, b, b, b",
            )
        ],
        counting.counts,
        "4 numbers for 6 kinds",
    ),
    "a call that there is not": (
        "soba",
        "solver",
        [("Calls(\n", "dict(\n"), ("outer_gradients=c", "outer_gradient=c")],
        counting.counts,
        "oracle_calls names outer_gradient;",
    ),
    "x moved past its set": (
        "soba",
        "solver",
        [("outer.descend(x, steps.outer, jv, fx)", "descend(x, steps.outer, jv, fx)")],
        conduct.problems,
        "data-poisoning: x is .* outside its set",
    ),
    "repetitions share a seed": (
        "soba",
        "solver",
        [
            (
                "    @staticmethod\n    def init",
                "    def set_objective(self, problem):\n"
                "        super().set_objective(problem)\n"
                "        self.seed = self.get_seed()\n\n"
                "    @staticmethod\n    def init",
            )
        ],
        seeds,
        "use_repetition",
    ),
    "ZeroSARAH of three times the gradient": (
        "sffba",
        "variance_reduction",
        [
            (
                "descend(d, -1.0, new)\n    descend(d, 1.0, old)\n    descend(d, -weight",
                "descend(d, -1.0 - weight, new)\n    descend(d, 1.0 - weight, old)\n"
                "    descend(d, -weight",
            )
        ],
        settled_hypergradient,
        "settles at 3 ∇x f",
    ),
    "PAGE started from zero": (
        "spaba",
        "solver",
        [("t == 0 or flip(inner, probability)", "flip(inner, probability)")],
        directions,
        "after iteration 0",
    ),
    "random truncation from 1 to N": (
        "ttsa",
        "estimators",
        [("(inner, inner.uniform(n_terms))", "(inner, 1 + inner.uniform(n_terms))")],
        directions,
        "direction of x",
    ),
    "HOAG's step made twice": (
        "hoag",
        "solver",
        [
            (
                "outer.descend(x, steps.outer, jv, fx)",
                "outer.descend(x, steps.outer, jv, fx)\n"
                "        outer.descend(x, steps.outer, jv, fx)",
            )
        ],
        directions,
        "direction of x",
    ),
    "SUSTAIN's cross derivative on the sample of the inner gradient": (
        "sustain",
        "solver",
        [
            (
                "i, samples = inner.draw(), draw_hia_hypergradient(inner, outer, n_terms)",
                "samples = draw_hia_hypergradient(inner, outer, n_terms)\n"
                "        i = samples[2]",
            )
        ],
        sampling.samples,
        "one sample serves cross and grad",
    ),
    "F2SA's multiplier grows as t^(6/7)": (
        "f2sa",
        "solver",
        [("decay(t, step_exponent - outer_exponent)", "decay(t, -6 / 7)")],
        settled_hypergradient,
        "settles",
    ),
    "∇z g of y taken at z": (
        "f2ba",
        "solver",
        [("gz = inner.grad(y, x, i)", "gz = inner.grad(z, x, i)")],
        settled_hypergradient,
        "∇x f is missing",
    ),
}


def mutated(text, edits):
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new)
    return text


def make_mutant(tmp_path, solver, where, edits):
    """The solver class with the edits, in a file and modules of its own."""
    text = (ROOT / "solvers" / f"{solver}.py").read_text()
    if where == "solver":
        text = mutated(text, edits)
    else:
        module = types.ModuleType(f"mutant_{tmp_path.name}")
        vars(module).update({name: getattr(methods, name) for name in methods.__all__})
        source = mutated((METHODS / f"{where}.py").read_text(), edits)
        exec(compile(source, str(tmp_path / f"{where}.py"), "exec"), vars(module))
        sys.modules[module.__name__] = module
        text = mutated(text, [("benchmark_bilevel.methods", module.__name__)])
    path = tmp_path / f"{solver}.py"
    path.write_text(text)
    return load_plugin(path).Solver


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_fails(tmp_path, name):
    solver, where, edits, check, words = MUTANTS[name]
    # Thousands of repetitions want compiled code; for the rest, compiling takes longer.
    runtime = "auto" if check is bias else "torch"
    subject = Subject(make_mutant(tmp_path, solver, where, edits), runtime=runtime)
    with pytest.raises(Failed, match=words):
        check(subject)


def unmutated(solver):
    return Subject(
        load_plugin(ROOT / "solvers" / f"{solver}.py").Solver, runtime="torch"
    )


def test_a_direction_used_too_late_fails(tmp_path):
    """H v on sparse data refers to v, which ∇z f has moved."""
    late = "descend(v, steps.linear, fz)\n        descend(v, steps.linear, hv)"
    edits = [("descend(v, steps.linear, hv, fz)", late)]
    mutant = Subject(make_mutant(tmp_path, "soba", "solver", edits), runtime="torch")
    assert "used after the variable has moved" in conduct.problems(mutant)


# name: (solver, edits …): the iterates are not those of the second text any more.
OTHER_ITERATES = {
    "FSLA without STORM": (
        "fsla",
        ("storm(d, weight * decay(t, outer_exponent), h, h_old)", "assign(d, h)"),
    ),
    "MRBO's u of other samples at the old point": (
        "mrbo",
        ("inner.grad(z_old, x_old, i)", "inner.grad(z_old, x_old, inner.draw())"),
    ),
    "MRBO's d of other samples at the old point": (
        "mrbo",
        (
            "inner, outer, z_old, x_old, linear_step, samples\n",
            "inner, outer, z_old, x_old, linear_step,\n"
            "                draw_hypergradient(inner, outer, n_neumann),\n",
        ),
    ),
    "SUSTAIN's d of other samples at the old point": (
        "sustain",
        (
            "inner, outer, z_old, x_old, linear_step, samples",
            "inner, outer, z_old, x_old, linear_step, "
            "draw_hia_hypergradient(inner, outer, n_terms)",
        ),
    ),
    "VRBO's u of other samples at the old point": (
        "vrbo",
        ("inner.grad(z_old, x_old, i)", "inner.grad(z_old, x_old, inner.draw())"),
    ),
    "VRBO's d of other samples at the old point": (
        "vrbo",
        (
            "inner, outer, z_old, x_old, linear_step, samples",
            "inner, outer, z_old, x_old, linear_step, "
            "draw_hypergradient(inner, outer, n_neumann)",
        ),
    ),
    "MRBO's weights do not fall": (
        "mrbo",
        ("storm_momentum(t, ", "storm_momentum(1, "),
    ),
    "MRBO's d with z's weight": (
        "mrbo",
        ("storm_momentum(t, outer_momentum,", "storm_momentum(t, inner_momentum,"),
    ),
    "MRBO's weight of d is constant": (
        "mrbo",
        ("storm_momentum(t, outer_momentum, step_exponent)", "outer_momentum"),
    ),
    "MRBO's weight of u is constant": (
        "mrbo",
        ("storm_momentum(t, inner_momentum, step_exponent)", "inner_momentum"),
    ),
    "BSGM's mean_ratio is ignored": ("bsgm", ("mean_ratio * n_steps", "n_steps")),
    "VRBO's large batch of u is full": (
        "vrbo",
        ("n_blocks_of(inner, large_fraction)", "n_blocks_of(inner, 1.0)"),
    ),
    "VRBO's large batch of d is full": (
        "vrbo",
        ("n_neumann, large_fraction)", "n_neumann, 1.0)"),
    ),
    "MA-SOBA's v starts at random": (
        "ma_soba",
        ("return z, x, zeros_like(z)", "return z, x, inner.normal(z)"),
    ),
    "SLIP's v starts at random": (
        "slip",
        ("return z, x, zeros_like(z)", "return z, x, inner.normal(z)"),
    ),
    "STABLE without the projection of H": (
        "stable",
        ("        clip_spectrum(H, convexity)\n", ""),
    ),
    "STABLE without the projection of J": (
        "stable",
        ("        project_spectral_ball(J, cross_bound)\n", ""),
    ),
    "SRBA without its ball": (
        "srba",
        ("            project_ball(v, radius)\n", "            pass\n"),
    ),
    "SPABA's v clipped entry by entry": (
        "spaba",
        ("project_ball(v, radius)", "v.clamp_(-radius, radius)"),
    ),
    "BOME without ∇x f": (
        "bome",
        (
            "outer.descend(x, steps.outer, q_x, fx)",
            "outer.descend(x, steps.outer, q_x)",
        ),
    ),
    "PZOBO's directions on the unit sphere": (
        "pzobo",
        ("u = inner.normal(x)", "u = inner.normal(x)\n            u = u / u.norm()"),
    ),
    "PZOBO's perturbed runs on samples of their own": (
        "pzobo",
        (
            "sgd_along(inner, z_end, x_near, steps.inner, blocks)",
            "sgd_along(inner, z_end, x_near, steps.inner, draw_blocks(inner, n_inner))",
        ),
    ),
    "BiAdam's averages keep their first value": (
        "biadam",
        ("else weight * eta", "else 0.0"),
    ),
}


@pytest.mark.parametrize("name", OTHER_ITERATES)
def test_mutant_leaves_its_reference(tmp_path, name):
    solver, *edits = OTHER_ITERATES[name]
    mutant = make_mutant(tmp_path, solver, "solver", edits)
    # Other numbers, or other draws than the reference takes.
    with pytest.raises((AssertionError, IndexError)):
        for own in OWN[solver]:
            check_iterates(mutant, solver, own)


def test_other_default_exponents_fail(tmp_path):
    edits = [('"step_exponent": [0.', '"step_exponent": [0.1')]
    mutant = make_mutant(tmp_path, "soba", "solver", edits)
    assert default_exponents(mutant)["SOBA"] != EXPONENTS["SOBA"]


def test_copied_tables_are_seen(tmp_path):
    edits = [("    table[i] = new\n", "    table[i] = new\n    table.clone()\n")]
    mutant = Subject(make_mutant(tmp_path, "saba", "variance_reduction", edits))
    few, many = (elements_of_iterations(mutant, n) for n in (300, 3000))
    assert many > 3 * few


# --- mistakes outside the solvers -----------------------------------------------------


def small_runtime(name):
    return unmutated(name).runtime(small_quadratic(), runtime="torch", **RAGGED)


def one_draw_too_many(order, cursor, replace):
    position = int(cursor[0])
    if position >= order.size + 1:
        position = 0
    cursor[0] = np.uint64(position + 1)
    return order[min(position, order.size - 1)]


def unshuffled_first_epoch(order, cursor, replace):
    if cursor[0] == order.size and (np.diff(order) == 1).all():
        cursor[0] = 0
    return samplers.next_block(order, cursor, replace)


@pytest.mark.parametrize("mistake", [one_draw_too_many, unshuffled_first_epoch])
def test_bad_sampler_fails(monkeypatch, mistake):
    monkeypatch.setattr(autograd, "next_block", mistake)
    with pytest.raises(AssertionError, match="epoch"):
        epochs_are_sound(small_runtime("soba"))


def test_short_batch_counted_in_full_fails(monkeypatch):
    sizes = property(lambda self: np.full(self.n_blocks, self.batch_size))
    monkeypatch.setattr(Partition, "sizes", sizes)
    with pytest.raises(AssertionError, match="gradients of an epoch"):
        epochs_are_sound(small_runtime("soba"))


def short_batch_weighs_double(partition, n_samples, batch_size):
    make_partition(partition, n_samples, batch_size)
    partition.weight = 1 / partition.batch_size


make_partition = Partition.__init__


def test_badly_weighted_short_batch_fails(monkeypatch):
    monkeypatch.setattr(Partition, "__init__", short_batch_weighs_double)
    with pytest.raises(Failed, match="mean of"):
        problems.batches(small_instance(RidgeSelection))
    with pytest.raises(Failed, match="settles"):
        settled_hypergradient(unmutated("saba"))


def test_unreachable_hyperparameters_fail(monkeypatch):
    """A regulariser multiplied by 0, as one published configuration has it."""
    monkeypatch.setattr(
        RidgeSelection, "inner_regulariser", lambda self, z, x: 0 * x.sum()
    )
    with pytest.raises(Failed, match="does not depend on x"):
        problems.hypergradient(small_instance(RidgeSelection))


evaluate = newton.NewtonSolver.evaluate


def solve_loosely(self, x, z, v=None):
    """Gradient descent until ‖∇z g‖ ≤ 1e-3."""
    while np.linalg.norm(gradient := self.losses.grad(z, x)) > 1e-3:
        z = z - 0.3 * gradient
    return evaluate(self, x, z, v)._replace(z=z)


def test_loose_inner_solve_fails(monkeypatch):
    monkeypatch.setattr(newton.NewtonSolver, "evaluate", solve_loosely)
    with pytest.raises(Failed, match="is solved to"):
        problems.hypergradient(small_instance(RidgeSelection))


def test_work_left_undone_fails(monkeypatch):
    """A clock that stops when the work is dispatched."""

    def dispatch(self, stop, max_oracle_calls=None):
        """All of it later, which is after the counts are read."""

    monkeypatch.setattr(EagerRuntime, "advance", dispatch)
    with pytest.raises(Failed, match="counted"):
        counting.counts(unmutated("soba"))


def test_budget_checked_too_late_fails(monkeypatch):
    advance = Runtime.advance
    monkeypatch.setattr(
        Runtime, "advance", lambda self, stop, budget=0: advance(self, stop)
    )
    with pytest.raises(Failed, match="a budget of"):
        counting.budget(unmutated("soba"))
