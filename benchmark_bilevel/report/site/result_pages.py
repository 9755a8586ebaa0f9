"""benchopt's result pages without their content delivery networks."""

import html
import json
import re
from importlib import resources
from pathlib import Path

from benchopt.plotting.generate_html import get_results, render_all_results
from benchopt.plotting.helpers import reset_solver_styles

from benchmark_bilevel.report.curves import curves
from benchmark_bilevel.report.results import problems, read

STATIC = Path(__file__).parent / "static"
SCRIPT = re.compile(r'<script[^>]*\bsrc="(https?://[^"]+)"[^>]*>\s*</script>')
LINK = re.compile(r'<link\b[^>]*\bhref="https?://[^>]*>\s*')
NEED_REFERENCE = (
    "suboptimality",
    "performance_profile",
    "targets_reached",
    "step_size",
)
# The browser itself refuses whatever would leave the page.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:"
)
META = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'


def write_result_page(path, file, folder, benchmark):
    """Render the result file `path` by benchopt, then make the page self-contained.

    Parameters
    ----------
    path : Path
    file : content.File
        Names of the page and of its neighbours.
    folder : Path
        The site's root.
    benchmark : benchopt.benchmark.Benchmark
    """
    reset_solver_styles()
    # benchopt links to the result file relative to the site, so it has to be in it.
    result = get_results(
        [folder / file.data], folder, benchmark, _plot_config(path, benchmark)
    )[0]
    result["json_plots"] = json.dumps(
        json.loads(result["json_plots"]), separators=(",", ":")
    )
    result["metadata"]["solvers_description"] = _tooltips(path)
    text = render_all_results([result], benchmark, home="index.html")[0]
    neighbours = json.dumps({"How these results were made": file.path})
    text = self_contained(text, f"{_static('page.js')}addLinks({neighbours});")
    (folder / file.interactive).write_text(text, encoding="utf-8")


def _plot_config(path, benchmark):
    """The benchmark's figures and views that the result file has data for.

    The page opens with the first view. Without a reference minimum that is the test
    loss, which is known at every point.
    """
    config = benchmark.get_plot_config()
    if read([path])["objective_suboptimality"].notna().any():
        return config
    views = {
        name: view
        for name, view in config["plot_configs"].items()
        if view["plot_kind"] not in NEED_REFERENCE
    }
    first = sorted(views, key=lambda name: views[name]["plot_kind"] != "test_loss")
    return {
        "plots": [name for name in config["plots"] if name not in NEED_REFERENCE],
        "plot_configs": {name: views[name] for name in first},
    }


def self_contained(text, script=""):
    """The HTML `text` with its scripts inside and without style sheets from elsewhere.

    Raises
    ------
    ValueError
        When the page asks for a script that is not known here.
    """
    text = LINK.sub("", text)
    text = SCRIPT.sub(_inline, text)
    text = text.replace("<head>", f"<head>\n{META}", 1)
    start, end = text.rsplit("</body>", 1)
    extra = f"<style>{_static('page.css')}</style>\n<script>{script}</script>"
    return f"{start}{extra}\n</body>{end}"


def _inline(match):
    """The script that takes the place of one from the network."""
    address = match[1]
    if "plotly" in address:
        # Installed with benchopt's own dependencies; the adapter speaks its dialect.
        plotly = resources.files("plotly") / "package_data" / "plotly.min.js"
        code = f"{plotly.read_text(encoding='utf-8')}\n{_static('plotly_adapter.js')}"
    elif "gridjs" in address:
        code = _static("grid.js")
    elif "anime" in address:
        code = _static("anime.js")
    else:
        raise ValueError(f"benchopt's page asks for {address}, which is not known")
    code = code.replace("</script", r"<\/script")
    return f"<script>\n{code}\n</script>"


def _static(name):
    return (STATIC / name).read_text(encoding="utf-8")


def _tooltips(path):
    """From the labels of curves to what the legend says when pointed at."""
    results = read([path])
    texts = results.drop_duplicates("solver_name").set_index("solver_name")
    described = texts["solver_description"].to_dict()
    labels = set(zip(texts["solver"], texts.index, strict=True))
    for problem in problems(results):
        for curve in curves(results, problem, "value", "seconds"):
            labels |= {(curve.title, curve.name), (curve.label, curve.name)}
    return {
        label: f"<b>{html.escape(name)}</b><br>"
        + html.escape(described[name]).replace("\n", "<br>")
        for label, name in labels
    }
