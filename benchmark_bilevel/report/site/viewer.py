"""What the interactive curves draw: a file of numbers for each problem and data set.

They are the curves of the figures, against each cost. A file has every list of numbers
once, however many curves it belongs to: the medians of a metric are the same against
seconds and oracle calls, and the costs are the same for all metrics.
"""

from pathlib import Path

from benchmark_bilevel.report.curves import X_AXES, curves
from benchmark_bilevel.report.metrics import METRICS, metric_on
from benchmark_bilevel.report.site.scripts import (
    DIGITS,
    DIGITS_OF_BANDS,
    Pool,
    as_script_text,
)
from benchmark_bilevel.report.styles import style

STATIC = Path(__file__).parent / "static"
SCRIPTS = ("chart.js", "viewer_parts.js", "viewer.js", "viewer_places.js")


def write_viewer(folder):
    """Write the script that draws curves into `folder`."""
    parts = [(STATIC / name).read_text(encoding="utf-8") for name in SCRIPTS]
    (folder / "viewer.js").write_text("\n".join(parts), encoding="utf-8")


def write_curves(problems, groups, folder, names):
    """Write a script with the curves of each case of `problems` into `folder`/data.

    Parameters
    ----------
    problems : list of content.ProblemPage
    groups : dict
        From a solver's name to what its group is called.
    folder : Path
        The site's root.
    names : FileNames

    Returns
    -------
    dict
        From a case's name to the address of its script; cases without any curve have
        none.
    """
    scripts = {}
    for page in problems:
        for case in page.cases:
            rows, variants = case.file.results, case.table["name"]
            content = curves_of(rows, case.name, variants, groups)
            if content is None:
                continue
            scripts[case.name] = f"data/{names('curves', case.name)}.js"
            # A browser reads no JSON beside a page that it opened from a disk.
            text = f"(window.curves ??= {{}})[{as_script_text(case.anchor)}] = {content};\n"
            (folder / scripts[case.name]).write_text(text, encoding="utf-8")
    return scripts


def curves_of(results, problem, variants, groups):
    """All that the curves of `problem` need, as JSON; None without any curve.

    It has ``problem``; ``costs`` and ``metrics``, what they are called; ``lists`` of
    numbers; ``curves``, in the order of `variants`, the names of solvers with their
    parameters, of which those are left out that all have. Of a curve ``drawn`` has by
    metric and then, in the order of the costs, the indices of its lists of costs,
    medians, and low and high quantiles, ``crosses`` those of what runs cost that
    diverged. Where there is the suboptimality, h says no more and is left out.
    """
    pool, metrics, found = Pool(), {}, {}
    for name in METRICS:
        if name == "value" and "suboptimality" in metrics:
            continue
        metric = metric_on(results, problem, name)
        for k, cost in enumerate(X_AXES):
            for curve in curves(results, problem, name, cost):
                if not curve.x.size:
                    continue
                metrics[name] = {
                    "title": metric.title,
                    "better": metric.better,
                    "log": metric.scale == "loglog",
                }
                entry = found.setdefault(curve.name, _head(curve, groups))
                entry["drawn"].setdefault(name, [None] * len(X_AXES))[k] = [
                    pool.index(curve.x, DIGITS),
                    pool.index(curve.y, DIGITS),
                    pool.index(curve.low, DIGITS_OF_BANDS),
                    pool.index(curve.high, DIGITS_OF_BANDS),
                ]
                entry["crosses"][k] = pool.index(curve.crosses, DIGITS)
    if not found:
        return None
    values = {}
    for name in found:
        for key, value in _parameters(name).items():
            values.setdefault(key, set()).add(value)
    for name, entry in found.items():
        entry["parameters"] = ", ".join(
            f"{key}={value}"
            for key, value in _parameters(name).items()
            if len(values[key]) > 1
        )
    content = {
        "problem": problem,
        "costs": {name: title for name, (_, title) in X_AXES.items()},
        "metrics": metrics,
        "curves": [found[name] for name in variants if name in found],
    }
    return f'{{"lists":{pool.text},{as_script_text(content)[1:]}'


def _parameters(variant):
    """Such as ``{"step_size": "0.1", "batch_size": "64"}``."""
    inside = variant.partition("[")[2].removesuffix("]")
    return dict(part.partition("=")[::2] for part in inside.split(","))


def _head(curve, groups):
    look = style(curve.solver, *curve.rank)
    return {
        "label": curve.label,
        "solver": curve.solver,
        "group": groups[curve.solver],
        "note": curve.ends.text,
        "color": "#" + "".join(f"{round(255 * part):02x}" for part in look.color),
        "marker": look.symbol,
        "dash": look.dash,
        "drawn": {},
        "crosses": [None] * len(X_AXES),
    }
