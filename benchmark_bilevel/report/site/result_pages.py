"""Pages with all of benchopt's controls: its data and its script, in the site's frame."""

import html
import json
import shutil
from pathlib import Path
from typing import NamedTuple

from benchopt.plotting.generate_html import STATIC as BENCHOPT
from benchopt.plotting.helpers import update_plot_data_style

from benchmark_bilevel.report.site.scripts import (
    DIGITS,
    Pool,
    as_script_text,
    digits_of,
)

STATIC = Path(__file__).parent / "static"
# What benchopt's script asks of others, our curves and tables, and the page's start.
BEFORE, AFTER = ("chart.js", "grid.js", "drawing.js"), ("page.js",)
# The browser refuses what is no file of the site, and scripts and styles in a page.
# Some browsers do not count files that are opened from a disk as "self".
POLICY = (
    "default-src 'none'; script-src 'self' file:; style-src 'self' file:; "
    "img-src 'self' file: data: blob:; font-src data:; base-uri 'none'; form-action 'none'"
)


class Controls(NamedTuple):
    """What can be chosen on the page of a result file."""

    options: dict  # by kind of figure: its parameters, each with the list of values
    views: list  # names of choices that the configuration gives one


def write_scripts(folder):
    """Write the script and the style sheet that result pages share into `folder`."""
    shutil.copyfile(STATIC / "page.css", folder / "page.css")
    before, after = (_static(*names) for names in (BEFORE, AFTER))
    parts = [before, BENCHOPT["symbols.js"], BENCHOPT["result.js"], after]
    (folder / "interactive.js").write_text("\n".join(parts), encoding="utf-8")


def write_result_data(file, folder, benchmark):
    """Write what the page of a result file draws.

    Parameters
    ----------
    file : files.File
    folder : Path
        The site's root.
    benchmark : benchopt.benchmark.Benchmark

    Returns
    -------
    Controls
        Of the figures that have any data.
    """
    config = benchmark.get_plot_config()
    plots, options = benchmark.get_plot_data(file.results, config["plots"])
    plots = {kind: plots[kind] for kind in config["plots"] if _has_data(plots[kind])}
    views = {
        name: view
        for name, view in config["plot_configs"].items()
        if view["plot_kind"] in plots
    }
    metadata = {
        "plot_configs": views,
        "solvers_description": _tooltips(file.results, plots),
    }
    pool, looks = Pool(), {}
    styled = _pooled(update_plot_data_style(plots, plotly=True), pool, looks)
    data = {
        "_plots": as_script_text(styled),
        "_lists": pool.text,
        "_looks": as_script_text([json.loads(text) for text in looks]),
        "metadata": as_script_text(metadata),
    }
    # A script, as JSON has no NaN.
    lines = [f"window.{name} = {text};\n" for name, text in data.items()]
    (folder / file.script).write_text("".join(lines), encoding="utf-8")
    return Controls({kind: options[kind] for kind in plots}, list(views))


def _has_data(figures):
    return any(figure["data"] for figure in figures.values())


def _pooled(plots, pool, looks):
    """`plots`, with numbers for what several of its curves have in common.

    Their lists are in `pool`; all else, as JSON, is a key of `looks`.
    """
    return {
        kind: {
            name: figure | {"data": _indices(figure["data"], pool, looks)}
            if figure["type"] == "scatter"
            else figure
            for name, figure in figures.items()
        }
        for kind, figures in plots.items()
    }


def _indices(traces, pool, looks):
    digits = digits_of([value for trace in traces for value in trace["y"]])
    digits_of_lists = {"x": DIGITS, "crosses": DIGITS}
    digits_of_lists |= dict.fromkeys(("y", "y_low", "y_high"), digits)
    found = []
    for trace in traces:
        lists = {
            name: pool.index(trace[name], digits)
            for name, digits in digits_of_lists.items()
            if name in trace
        }
        apart = {*lists, "solver", "name"}
        look = json.dumps({key: own for key, own in trace.items() if key not in apart})
        found.append({"look": looks.setdefault(look, len(looks)), **lists})
    return found


def _tooltips(results, plots):
    """From the labels of curves to what the legend says, in HTML, when pointed at."""
    described = results.drop_duplicates("solver").set_index("solver")
    texts = described["solver_description"].str.strip().str.partition("\n")[0]
    texts = texts.map(html.escape).to_dict()
    traces = (
        trace
        for figures in plots.values()
        for figure in figures.values()
        if figure["type"] == "scatter"
        for trace in figure["data"]
    )
    return {
        trace[
            "label"
        ]: f"<b>{html.escape(trace['name'])}</b><br>{texts[trace['solver']]}"
        for trace in traces
    }


def _static(*names):
    return "\n".join((STATIC / name).read_text(encoding="utf-8") for name in names)
