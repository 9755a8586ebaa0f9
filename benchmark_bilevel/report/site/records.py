"""What machines read: results.json, the feed of result files, the site's map."""

import json
import math

import benchmark_bilevel
from benchmark_bilevel.report.metrics import AXES
from benchmark_bilevel.report.targets import TARGETS


def results_json(problems, files, url):
    """Text of ``results.json``: where all data are, and the tables of all problems.

    Parameters
    ----------
    problems : list of content.ProblemPage
    files : list of content.File
    url : str
        Of the repository.
    """
    cases = [(page, case) for page in problems for case in page.cases]
    content = {
        "name": "benchmark_bilevel",
        "version": benchmark_bilevel.__version__,
        "source": url or None,
        "files": [
            {
                "name": file.name,
                "page": file.path,
                "data": file.data,
                "date": file.date,
                "runs": file.n_runs,
                "made_by": file.made_by,
            }
            for file in files
        ],
        "problems": [
            {
                "name": case.name,
                "problem": page.name,
                "page": f"{page.path}#{case.anchor}",
                "data": case.file.data,
                "solvers": [_row(row) for row in case.table.to_dict("records")],
            }
            for page, case in cases
        ],
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _row(row):
    """A row of `tables.summary`: medians, and median costs of the targets."""
    ends = row["ends"]
    return {
        "solver": row["solver"],
        "parameters": row["name"],
        "rank": _number(row["rank"]),
        "runs": ends.n_runs,
        "diverged": ends.n_diverged,
        "cut": ends.n_cut,
        "value": _number(row["value"]),
        "suboptimality": _number(row.get("median")),
        "test_accuracy": _number(row["test_accuracy"]),
        "test_loss": _number(row["test_loss"]),
        "targets": {
            axis: {
                f"{target:.0e}": _number(row.get((axis, target))) for target in TARGETS
            }
            for axis in AXES
        },
    }


def _number(value):
    """The float `value`, or None where there is none: JSON has no NaN."""
    return float(value) if value is not None and math.isfinite(value) else None


def site_map(site_url, paths):
    """Text of ``sitemap.xml``: the addresses of the pages at `paths`."""
    addresses = "".join(f"<url><loc>{site_url}/{path}</loc></url>\n" for path in paths)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
        f"{addresses}</urlset>\n"
    )
