"""What the interactive curves draw: a file of numbers for each problem and data set.

They are the curves of the figures, against each cost. A file has every list of numbers
once, however many curves it belongs to: the medians of a metric are the same against
seconds and oracle calls, and the costs are the same for all metrics.
"""

from collections import Counter
from pathlib import Path

from matplotlib.colors import to_hex

from benchmark_bilevel.report.curves import X_AXES, curves
from benchmark_bilevel.report.metrics import METRICS, metric_on
from benchmark_bilevel.report.panels import main_metric
from benchmark_bilevel.report.settings import settings_on
from benchmark_bilevel.report.site.scripts import (
    DIGITS,
    Pool,
    as_script_text,
    digits_of,
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

    It has ``problem``; ``costs`` and ``metrics``, what they are called; ``groups`` of
    solvers; ``lists`` of numbers; ``curves``, in the order of `variants`, the names of
    solvers with their parameters. Of a curve ``parameters`` are those that its label does
    not have, nor all curves alike; ``group`` is an index; ``drawn`` has by metric and
    then, in the order of the costs, the indices of its lists of costs, medians, and low
    and high quantiles, ``crosses`` those of what runs cost that diverged. Where there is
    the suboptimality, h says no more and is left out.
    """
    pool, metrics, found = Pool(), {}, {}
    parameters, titles = (
        _parameters(results, problem),
        list(dict.fromkeys(groups.values())),
    )
    for name in METRICS:
        if name == "value" and "suboptimality" in metrics:
            continue
        metric = metric_on(results, problem, name)
        for k, cost in enumerate(X_AXES):
            drawn = [c for c in curves(results, problem, name, cost) if c.x.size]
            medians = [value for curve in drawn for value in curve.y]
            digits = digits_of(medians, metric.scale == "loglog")
            for curve in drawn:
                metrics[name] = {
                    "title": metric.title,
                    "better": metric.better,
                    "log": metric.scale == "loglog",
                }
                group = titles.index(groups[curve.solver])
                head = _head(curve, parameters[curve.label], group)
                entry = found.setdefault(curve.name, head)
                entry["drawn"].setdefault(name, [None] * len(X_AXES))[k] = [
                    pool.index(curve.x, DIGITS),
                    *(pool.index(y, digits) for y in (curve.y, curve.low, curve.high)),
                ]
                entry["crosses"][k] = pool.index(curve.crosses, DIGITS)
    if not found:
        return None
    main, n_drawn = main_metric(results, problem), Counter()
    for entry in found.values():
        n_drawn.update(entry["drawn"].keys())
    # The page opens with the first.
    ordered = sorted(metrics, key=lambda name: (name != main, -n_drawn[name]))
    content = {
        "problem": problem,
        "costs": {name: title for name, (_, title) in X_AXES.items()},
        "metrics": {name: metrics[name] for name in ordered},
        "groups": titles,
        "curves": [found[name] for name in variants if name in found],
    }
    return f'{{"lists":{pool.text},{as_script_text(content)[1:]}'


def _parameters(results, problem):
    """From a label to what it does not say and not all have alike."""
    columns, rows, _ = settings_on(results, problem)
    found = {}
    for _, label, texts, others in rows:
        pairs = [f"{k}={text}" for k, text in zip(columns, texts, strict=True) if text]
        pairs += others.split(", ") if others else []
        found[label] = ", ".join(pair for pair in pairs if pair not in label.split())
    return found


def _head(curve, parameters, group):
    look = style(curve.solver, *curve.rank)
    return {
        "label": curve.label,
        "solver": curve.solver,
        "parameters": parameters,
        "group": group,
        "note": curve.ends.text,
        "color": to_hex(look.color),
        "marker": look.symbol,
        "dash": look.dash,
        "drawn": {},
        "crosses": [None] * len(X_AXES),
    }
