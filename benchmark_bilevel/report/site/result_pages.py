"""benchopt's result pages: without other hosts, and with no script but the site's own."""

import html
import json
import re
import shutil
from importlib import resources
from pathlib import Path
from types import SimpleNamespace

from benchopt.plotting.generate_html import STATIC as BENCHOPT
from benchopt.plotting.generate_html import SYS_INFO, TEMPLATE_RESULT
from benchopt.plotting.helpers import update_plot_data_style
from mako.template import Template
from markupsafe import Markup

STATIC = Path(__file__).parent / "static"
PLOTLY, INTERACTIVE = "plotly.min.js", "interactive.js"
# The browser refuses what is no file of the site, and whatever script is in a page.
# Some browsers do not count files that are opened from a disk as "self".
POLICY = (
    "default-src 'none'; script-src 'self' file:; "
    "style-src 'self' file: 'unsafe-inline'; img-src 'self' file: data: blob:; "
    "font-src data:; base-uri 'none'; form-action 'none'"
)
META = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
STYLE = '<link rel="stylesheet" href="page.css">'
ELEMENT = re.compile(r"<script\b([^>]*)>.*?</script>\s*", re.DOTALL)
LINK = re.compile(r'<link\b[^>]*\bhref="https?://[^>]*>\s*')
HANDLER = re.compile(r'(?<=\s)on(?=\w+="[^"]*")')
# What the page says of itself, and its headings.
TEXTS = (
    ("<html>", '<html lang="en">'),
    (
        r"<title>Result on (.*)</title>",
        r"<title>\1, all controls · benchmark_bilevel</title>",
    ),
    (r'<h1 (class="ml11">[\s\S]*?)</h1>', r"<div \1</div>"),
    (r"<h2 (.*)>Result on (.*)</h2>", r"<h1 \1>\2: all controls</h1>"),
    (r">x_axis</label>", ">Against</label>"),
    (r">(problem|cost|target)</label>", lambda found: f">{found[1].title()}</label>"),
    (r">Configs<", ">Plot views<"),
    (r">Data<", ">Result file<"),
)
# Of the scripts that benchopt's page asks for, `INTERACTIVE` has what is used.
REPLACED = ("plotly", "gridjs", "animejs")


def write_scripts(folder):
    """Write the scripts and the style sheet that result pages share into `folder`."""
    plotly = resources.files("plotly") / "package_data" / PLOTLY
    with resources.as_file(plotly) as path:  # installed with benchopt's dependencies
        shutil.copyfile(path, folder / PLOTLY)
    shutil.copyfile(STATIC / "page.css", folder / "page.css")
    parts = [_static("grid.js"), _static("plotly_adapter.js")]
    parts += [BENCHOPT["symbols.js"], BENCHOPT["result.js"], _static("page.js")]
    (folder / INTERACTIVE).write_text("\n".join(parts), encoding="utf-8")


def write_result_page(results, file, folder, benchmark, url=""):
    """Render the runs of a result file by benchopt's template, as a page of the site.

    Parameters
    ----------
    results : DataFrame
        Of this file alone.
    file : content.File
        Names of the page and of its neighbours.
    folder : Path
        The site's root.
    benchmark : benchopt.benchmark.Benchmark
    url : str
        Of the repository; "" if it is nowhere on the web.
    """
    config = benchmark.get_plot_config()
    plots, options = benchmark.get_plot_data(results, config["plots"])
    plots = {kind: plots[kind] for kind in config["plots"] if _has_data(plots[kind])}
    views = {
        name: view
        for name, view in config["plot_configs"].items()
        if view["plot_kind"] in plots
    }
    metadata = {
        "plot_configs": views,
        "solvers_description": _tooltips(results, plots),
        "links": {"How these results were made": file.path, "Source": url},
    }
    data = {"_plots": update_plot_data_style(plots, plotly=True), "metadata": metadata}
    # A script, as JSON has no NaN.
    lines = [
        f"window.{name} = {as_script_text(value)};\n" for name, value in data.items()
    ]
    (folder / file.script).write_text("".join(lines), encoding="utf-8")
    # Whatever the template puts into its page is escaped, but for the style sheets.
    template = Template(
        filename=str(TEMPLATE_RESULT),
        input_encoding="utf-8",
        strict_undefined=True,
        default_filters=["h"],
    )
    text = template.render(
        result={
            "kinds": list(plots),
            "plot_options": {kind: options[kind] for kind in plots},
            "sysinfo": _system(results),
            "metadata": {"plot_configs": views},
            "json_plots": "",
            "fname": file.data,
        },
        benchmark=SimpleNamespace(pretty_name=file.name),
        static={name: Markup(text) for name, text in BENCHOPT.items()},
        home="index.html",
    )
    for old, new in TEXTS:
        text = re.sub(old, new, text)
    text = with_own_scripts(text, (PLOTLY, file.script, INTERACTIVE))
    (folder / file.interactive).write_text(text, encoding="utf-8")


def _has_data(figures):
    return any(figure["data"] for figure in figures.values())


def as_script_text(value):
    """JSON as in a page: no text in it ends a script or begins a comment."""
    return json.dumps(value, separators=(",", ":")).replace("<", r"\u003c")


def _tooltips(results, plots):
    """From the labels of curves to what the legend says, in HTML, when pointed at."""
    described = results.drop_duplicates("solver").set_index("solver")
    described = described["solver_description"].map(html.escape).to_dict()
    traces = (
        trace
        for figures in plots.values()
        for figure in figures.values()
        if figure["type"] == "scatter"
        for trace in figure["data"]
    )
    return {
        trace["label"]: f"<b>{html.escape(trace['name'])}</b><br>"
        + described[trace["solver"]].replace("\n", "<br>")
        for trace in traces
    }


def _system(results):
    """benchopt's table of the machine, from the first run that knows."""

    def first(column):
        known = results[column].dropna() if column in results else []
        return str(known.iloc[0]) if len(known) else ""

    return {
        level: {name: first(column) for column, name in columns}
        for level, columns in SYS_INFO.items()
    }


def with_own_scripts(text, scripts):
    """The HTML `text` with `scripts`, files of the site, in place of all its own.

    Its handlers of events become data, ``data-onclick``, which ``page.js`` reads.

    Raises
    ------
    ValueError
        When the page asks for a script that is not known here.
    """
    for attributes in ELEMENT.findall(text):
        if "src=" in attributes and not any(name in attributes for name in REPLACED):
            raise ValueError(
                f"benchopt's page asks for {attributes}, which is not known"
            )
    text = HANDLER.sub("data-on", LINK.sub("", ELEMENT.sub("", text)))
    text = text.replace("<head>", f"<head>\n{META}", 1)
    text = text.replace("</head>", f"{STYLE}\n</head>", 1)
    elements = "".join(f'<script src="{script}"></script>\n' for script in scripts)
    start, end = text.rsplit("</body>", 1)
    return f"{start}{elements}</body>{end}"


def _static(name):
    return (STATIC / name).read_text(encoding="utf-8")
