"""The web site: complete, self-contained, and true to the result files."""

import functools
import http.server
import json
import re
import shutil
import tempfile
import threading
import time
from html.parser import HTMLParser
from unittest.mock import MagicMock
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import click
import numpy as np
import pandas as pd
import pytest
import synthetic_results as synthetic
from benchopt.benchmark import Benchmark
from benchopt.cli.process_results import publish
from benchopt.results import read_results
from click.testing import CliRunner
from conftest import ROOT, copy_of_the_benchmark
from github import GithubException

from benchmark_bilevel.__main__ import main
from benchmark_bilevel.report.groups import ANEW
from benchmark_bilevel.report.metrics import METRICS
from benchmark_bilevel.report.site import _replace, build
from benchmark_bilevel.report.site.docstrings import as_html
from benchmark_bilevel.report.site.files import text_below

N_CURVES = 30
SOME = ("SOBA", "SABA")
LISTS = {"x", "y", "y_low", "y_high", "crosses"}
ARROW_RIGHT = "\ue014"  # as WebDriver spells the key
QUIET = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic"),
    *(
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
    ),
    *("--disable-sync", "--window-size=1440,1000"),
    # The network is cut: no name is resolved.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """One file with 30 curves of 5 repetitions; one with two problems and a failure."""
    folder = tmp_path_factory.mktemp("results")
    sweep = synthetic.cells(step_sizes=(0.01, 0.03, 0.1, 0.3, 1.0))
    poisoning = {
        "dataset": "mnist",
        "problem": "data-poisoning",
        "has_reference": False,
    }
    failure = {"dataset": "covtype", "diverged": True}
    small = pd.concat(
        [
            synthetic.cells(n_repetitions=3, dataset="covtype"),
            synthetic.cells(SOME, dataset="quadratic", problem="quadratic"),
            *(synthetic.cell("VRBO", 0.1, k, **failure) for k in range(3)),
            synthetic.cells(SOME, n_repetitions=3, **poisoning),
        ],
        ignore_index=True,
    )
    other = folder / "another"  # by path before small.parquet, by name after it
    other.mkdir()
    return [
        synthetic.write(sweep, other / "sweep.parquet"),
        synthetic.write(small, folder / "small.parquet"),
    ]


def test_files_of_one_name_are_refused(files, tmp_path):
    copy = shutil.copy(files[0], tmp_path)
    with pytest.raises(click.UsageError, match="two result files are named sweep"):
        build([files[0], copy], tmp_path, Benchmark(ROOT))


@pytest.fixture(scope="module")
def site(files, tmp_path_factory):
    return written(files, tmp_path_factory.mktemp("site"))


def written(files, folder, **options):
    """The folder of the site, built without a word."""
    build(files, folder, Benchmark(ROOT), log=lambda text: None, **options)
    return folder


class Links(HTMLParser):
    """A page: what it loads, where it leads, and the scripts that are in it."""

    def __init__(self, text):
        super().__init__()
        self.loads, self.leads, self.ids, self.inline = [], [], [], []
        self.policies = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.ids += [attributes["id"]] if "id" in attributes else []
        if tag == "script" and "src" not in attributes:
            self.inline.append(tag)
        self.inline += [
            name for name in attributes if name == "style" or name.startswith("on")
        ]
        if attributes.get("http-equiv") == "Content-Security-Policy":
            self.policies.append(attributes["content"])
        for name in ("src", "href"):
            if name in attributes:
                (self.leads if tag == "a" else self.loads).append(attributes[name])


def pages(site):
    return {path.name: Links(path.read_text()) for path in site.glob("*.html")}


def plots_in(site, name):
    """The figures' data of one of benchopt's pages, and the views on them."""
    text = (site / "data" / f"result-{name}.js").read_text()
    assert "<" not in text
    found = re.findall(r"window\.\w+ = (.*);\n", text)
    plots, lists, looks, metadata = map(json.loads, found)
    for figures in plots.values():
        for trace in (trace for figure in figures.values() for trace in figure["data"]):
            if "look" in trace:  # no row of a table
                trace.update(looks[trace["look"]])
            for name in LISTS & set(trace):
                trace[name] = lists[trace[name]]
    return plots, metadata["plot_configs"]


def test_every_link_leads_somewhere(site):
    found = pages(site)
    expected = {
        "index.html",
        "problem-hyperparameter-selection.html",
        "solver-vrbo.html",
    }
    expected |= {"file-sweep.html", "result-sweep.html", "problem-data-poisoning.html"}
    assert expected < set(found)
    for name, links in found.items():
        for address in (*links.loads, *links.leads):
            if address.startswith(("data:", "https://")):
                continue
            path = site / (unquote(urlsplit(address).path) or name)
            assert path.is_file() and site in path.resolve().parents, (name, address)
            fragment = urlsplit(address).fragment
            assert not fragment or fragment in found[path.name].ids, (name, address)


def test_pages_have_no_scripts_or_styles_and_names_once(site):
    for name, links in pages(site).items():
        assert not links.inline, name
        assert len(links.ids) == len(set(links.ids)), name
        assert all(re.match(r"[A-Za-z][\w-]*$", each) for each in links.ids), name


def test_no_page_loads_anything_from_elsewhere(site):
    for name, links in pages(site).items():
        assert not [a for a in links.loads if re.match(r"(https?:)?//", a)], name
    for path in (site / "figures").glob("*.svg"):
        assert not re.search(r'(href|src)="(?!#)', path.read_text()), path.name


def test_a_page_without_reference_has_no_empty_figure(tmp_path):
    poisoning = {"dataset": "mnist", "problem": "data-poisoning"}
    runs = synthetic.cells(SOME, has_reference=False, **poisoning)
    path = synthetic.write(runs, tmp_path / "attack.parquet")
    plots, views = plots_in(written([path], tmp_path / "site"), "attack")
    assert "test_loss" in plots and "suboptimality" not in plots
    for figures in plots.values():
        assert all(figure["data"] for figure in figures.values())
    assert {view["plot_kind"] for view in views.values()} == set(plots)
    page = (tmp_path / "site" / "problem-data-poisoning.html").read_text()
    assert "value-function" not in page
    for axis in ("seconds", "oracle-calls"):
        figure = f"figures/problem-mnist-data-poisoning-{axis}.svg"
        assert figure in page
        assert "h(x) = −validation loss" in (tmp_path / "site" / figure).read_text()


def test_where_h_is_known_at_the_ends_only_these_are_drawn(tmp_path):
    poisoning = {"dataset": "mnist", "problem": "data-poisoning"}
    runs = synthetic.cells(SOME, has_reference=False, **poisoning)
    last = runs["stop_val"] == runs["stop_val"].max()
    runs["objective_value"] = runs["objective_value"].where(last)
    site = written([synthetic.write(runs, tmp_path / "a.parquet")], tmp_path / "site")
    page = (site / "problem-data-poisoning.html").read_text()
    assert "figures/problem-mnist-data-poisoning-end-value.svg" in page
    assert (
        "Known at fewer than 4 points of each run, hence without curves: h(x)" in page
    )
    name = "problem-mnist-data-poisoning-end-value.svg"
    figure = (site / "figures" / name).read_text()
    assert "SOBA" in figure and "h(x) = −validation loss  ↓ better" in figure
    assert "problem-mnist-data-poisoning-end-retrained-test-accuracy.svg" in page
    plots, views = plots_in(site, "a")
    assert "value_function" not in plots and next(iter(views)) == "Table"


def test_learnt_images_of_the_lowest_end_are_on_the_page(tmp_path):
    digits = {"dataset": "digits", "problem": "dataset-distillation"}
    runs = synthetic.cells(SOME, n_repetitions=2, **digits)
    ends = runs.index[runs["final_results"].notna()]
    images = np.arange(160.0).reshape(10, 16)
    unfit = images[:, :15], np.full((10, 16), np.nan), "images"
    for end, found in zip(ends, (images, *unfit), strict=True):
        runs.at[end, "final_results"] = {"images": found}
    runs.loc[ends[1:], "objective_value"] = -1.0  # but what they learnt is no picture
    site = written([synthetic.write(runs, tmp_path / "a.parquet")], tmp_path / "site")
    page = (site / "problem-dataset-distillation.html").read_text()
    name = "problem-digits-dataset-distillation-learnt.svg"
    assert f"figures/{name}" in page and "SOBA" in page
    assert (site / "figures" / name).read_text().count("<image") == len(images)


def test_result_pages_are_small(site):
    size = (site / "result-sweep.html").stat().st_size
    assert size + (site / "data" / "result-sweep.js").stat().st_size < 1.5e6


def test_curves_of_the_page_are_those_of_the_file(site, files):
    """Computed here again, by other means: a pivot table of runs and iterations."""
    plots, _ = plots_in(site, "sweep")
    runs = read_results(files[0])
    runs["time"] = runs["time"].where(runs["objective_iterations"] > 0, 0.0)
    columns = {"seconds": "time", "oracle calls": "objective_oracle_calls"}
    n_compared = 0
    for kind, column in (
        ("suboptimality", "objective_suboptimality"),
        ("hypergradient_norm", "objective_hypergradient_norm"),
        ("test_accuracy", "objective_test_accuracy"),
    ):
        for axis, x_column in columns.items():
            figure = plots[kind][f"{kind}_ijcnn1, hyperparameter-selection_{axis}"]
            by_solver = runs.groupby("solver_name", sort=False)
            assert len(figure["data"]) == by_solver.ngroups == N_CURVES
            for trace, (_, group) in zip(figure["data"], by_solver, strict=True):
                table = group.pivot(
                    index="objective_iterations",
                    columns="idx_rep",
                    values=[x_column, column],
                )
                assert table.notna().all(axis=None)
                costs = table[x_column].median(axis=1)
                np.testing.assert_allclose(trace["x"], costs, rtol=6e-4)
                expected = table[column].quantile([0.2, 0.5, 0.8], axis=1)
                for name, q in (("y_low", 0.2), ("y", 0.5), ("y_high", 0.8)):
                    np.testing.assert_allclose(
                        *(trace[name], expected.loc[q]), rtol=6e-4, err_msg=name
                    )
                n_compared += 1
    assert n_compared == 6 * N_CURVES


def test_the_pages_say_how_a_result_was_made(site):
    text = (site / "file-sweep.html").read_text()
    for fact in (
        "Made by: all runs by commit 0000000, fingerprint 0123456789abcdef.",
        "That is not the code of these pages",
        synthetic.PROVENANCE["commit"],
        "--seed 0",
        "-r 5",
    ):
        assert fact in text
    last = pd.read_parquet(site / "data" / "sweep.parquet")
    last = last.drop_duplicates(["solver_name", "idx_rep"], keep="last")
    speeds = last["objective_iterations"] / last["time"]
    for speed in speeds.groupby(last["solver_name"]).median():
        assert f'data-value="{speed}"' in text, "iterations a second"
    problem = (site / "problem-hyperparameter-selection.html").read_text()
    assert "<math" in problem and "<mfrac>" in problem, "its mathematics"
    assert '<span class="diverged">3 of 3 diverged</span>' in problem, "VRBO"
    index = (site / "index.html").read_text()
    matrix = index[index.index("<table") : index.index("</table>")]
    assert matrix.count("3 of 3 diverged") == 1
    assert matrix.index("solver-soba.html") < matrix.index("solver-vrbo.html")
    assert "fingerprint 0123456789abcdef" in index
    assert "3 of 3 diverged" in (site / "solver-vrbo.html").read_text()
    figure = (site / "figures" / "targets-reached-seconds.svg").read_text()
    assert "(3 of 3 diverged)" in figure
    assert ">step</span>(" in (site / "solver-saba.html").read_text(), "its code"


def test_docstrings_become_html():
    html = as_html(
        """First & foremost.

            x = y < z

        - one `code`
        - two

        Parameters
        ----------
        n, m : int
            A number.
        """
    )
    assert "<p>First &amp; foremost.</p>" in html
    assert "<math" in html and "<mi>x</mi><mo>&#x0003D;</mo><mi>y</mi>" in html
    assert "<li>one <code>code</code></li><li>two</li>" in html
    assert "<h2>Parameters</h2>\n<dl><dt>n, m : int</dt><dd>A number.</dd></dl>" in html


def test_commands(files, tmp_path, monkeypatch):
    figures = ["figures", str(tmp_path), str(files[1]), "--format", "svg"]
    result = CliRunner().invoke(main, [*figures, "--only", "profile-1e-01-*"])
    assert result.exit_code == 0, result.output
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"profile-1e-01-seconds.svg", "profile-1e-01-oracle-calls.svg"}
    empty = copy_of_the_benchmark(tmp_path, compiled=False)
    arguments = ["site", str(tmp_path / "site"), "--benchmark", str(empty)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert result.output.startswith(
        "Error: no result files in results/: `make results`"
    )


def test_benchopt_publish_takes_a_committed_file(site, monkeypatch):
    """As far as GitHub's door: what benchopt uploads is the file."""
    github = MagicMock()
    github.get_user.return_value.login = "me"
    fork = github.get_repo.return_value.create_fork.return_value
    fork.get_contents.side_effect = GithubException(404)
    monkeypatch.setattr("benchopt.results.github.Github", lambda **_: github)
    path = site / "data" / "sweep.parquet"
    # benchopt refuses to look further where its own folder of results is empty.
    monkeypatch.setattr(
        "benchopt.benchmark.Benchmark.get_output_folder", lambda _: path.parent
    )
    arguments = [str(ROOT), "-f", str(path), "-t", "token"]
    result = CliRunner().invoke(publish, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    uploaded, *_, content = fork.create_file.call_args_list[0].args
    assert uploaded == "benchmarks/benchmark_bilevel/outputs/sweep.parquet"
    assert content == path.read_bytes()


# --- strangers' files -----------------------------------------------------------------

RUN = "document.documentElement.title = 'ran'"
IMAGE = f'<img src=x onerror="{RUN}">'
SCRIPT = f"</script><script>{RUN}</script>"
QUOTED = f'x" onload="{RUN}" \''
TEXTS = (IMAGE, SCRIPT, QUOTED)
SECRET = "not for any page"


def hostile_results(secret):
    """Pairs (name, runs): a script in every text, files that no page should show."""
    runs = synthetic.cells(SOME, n_repetitions=2)
    renamed = runs["solver_name"].str.replace("SOBA", f"{IMAGE}{SCRIPT}", regex=False)
    renamed = renamed.str.replace("SABA", QUOTED, regex=False)
    yield "solver", runs.assign(solver_name=renamed)
    yield "data", runs.assign(dataset_name=f"{QUOTED}{SCRIPT}{IMAGE}")
    yield "problem", runs.assign(p_obj_problem=f"../../{SCRIPT}{IMAGE}")
    for k, text in enumerate(TEXTS):
        texts = ("solver_description", "obj_description", "platform", "run_date")
        texts += ("platform-release", "system-processor", "version-numpy")
        found = runs.assign(**dict.fromkeys((*texts, "p_obj_constraint"), text))
        found["p_solver_sampling"] = [text if n % 2 else "-" for n in found.index]
        found["p_solver_batch_size"] = found["p_solver_sampling"]
        record = {
            **synthetic.PROVENANCE,
            "commit": text,
            "fingerprint": text,
            text: text,
        }
        record |= {"blas": [text, {"internal_api": text}], "cpu_features": [text]}
        final = {"provenance": record}
        found["final_results"] = [
            final if end else None for end in found["final_results"]
        ]
        yield f"text{k}", found
    runs = synthetic.cells(("SOBA",), n_repetitions=1)
    places = ("/etc/passwd", str(secret), "solvers/../pyproject.toml")
    named = [
        runs.assign(solver_name=f"Place {k}", file_solver=place)
        for k, place in enumerate(places)
    ]
    yield "places", pd.concat(named, ignore_index=True)
    for name in (
        "Case",
        "case",
        "∇",
        "unnamed",
        "#q?x%20&",
        "quote'\"∇ ü",
        f"{IMAGE[:20]}$a_$",
    ):
        yield name, runs.assign(solver_name=f"{name}!")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "secret.txt").write_text(SECRET)
    paths = [
        synthetic.write(runs, folder / f"{name}.parquet")
        for name, runs in hostile_results(folder / "secret.txt")
    ]
    return written(paths, folder / "site", url="https://host.org/me/suite")


def test_feed_and_map_lead_to_pages(site, hostile, tmp_path, files):
    """They are read by machines, whatever the names of files are."""
    with_map = written(files[:1], tmp_path, site_url="https://me.github.io/suite")
    found = ElementTree.parse(with_map / "sitemap.xml").getroot()
    addresses = {text.strip() for text in found.itertext()} - {""}
    assert addresses == {
        f"https://me.github.io/suite/{name}" for name in pages(with_map)
    }
    for folder in (site, hostile):
        assert not (folder / "sitemap.xml").exists()
        feed = ElementTree.parse(folder / "feed.xml").getroot()
        entries = feed.findall("{*}entry")
        assert len(entries) == len(list(folder.glob("file-*.html"))) > 0
        for link in feed.iterfind("{*}entry/{*}link"):
            assert (folder / link.get("href")).is_file()


def test_no_text_of_a_file_becomes_part_of_a_page(hostile):
    found = pages(hostile)
    assert len(found) > 2 * len(list(hostile_results("")))
    for name, page in found.items():
        assert not page.inline, name
        [policy] = page.policies
        scripts = re.search("script-src ([^;]*);", policy)[1].split()
        assert scripts == ["'self'", "file:"] and "default-src 'none'" in policy
        assert "x" not in page.loads, name
        assert all(
            (hostile / unquote(urlsplit(address).path)).is_file()
            for address in page.loads
            if not address.startswith("data:")
        ), name
    for path in (hostile / "data").glob("*.js"):
        assert "<" not in path.read_text(), path.name
    for path in (hostile / "figures").iterdir():
        ElementTree.parse(path)
        assert "<script" not in path.read_text() and "<img" not in path.read_text()


def test_links_work_whatever_names_have_in_them(hostile):
    """Names that differ in case have pages of their own."""
    found = pages(hostile)
    for name, page in found.items():
        for address in page.leads:
            if not address.startswith(("https://", "#")):
                target = urlsplit(address)
                assert (hostile / unquote(target.path)).is_file(), (name, address)
                if target.fragment:
                    assert target.fragment in found[target.path].ids, (name, address)
    paths = [path for path in hostile.rglob("*") if path.is_file()]
    files = [path.relative_to(hostile).as_posix() for path in paths]
    assert len({name.lower() for name in files}) == len(files)
    texts = [(hostile / name).read_text() for name in found if "solver-case" in name]
    assert ["Case!</h1>" in text for text in texts].count(True) == 1
    assert ["case!</h1>" in text for text in texts].count(True) == 1


def test_only_files_of_the_benchmark_s_solvers_are_shown(hostile, tmp_path):
    texts = [path.read_text() for path in hostile.glob("*.html")]
    for secret in (SECRET, "root:x:0", "[build-system]"):
        assert not any(secret in text for text in texts)
    solvers = tmp_path / "benchmark" / "solvers"
    solvers.mkdir(parents=True)
    (tmp_path / "benchmark" / "token").write_text(SECRET)
    (solvers / "mine.py").write_text("code")
    (solvers / "link.py").symlink_to(tmp_path / "benchmark" / "token")
    (tmp_path / "alias").symlink_to(tmp_path / "benchmark")
    for path, text in (
        ("mine.py", "code"),
        (solvers / "mine.py", "code"),
        (tmp_path / "alias" / "solvers" / "mine.py", "code"),
        ("link.py", ""),
        ("../token", ""),
        (tmp_path / "benchmark" / "token", ""),
        ("absent.py", ""),
        (".", ""),
        ("a" * 5000, ""),
        ("nul\0", ""),
    ):
        assert text_below(solvers, path) == text, path


def test_links_to_the_repository_are_those_that_were_asked_for(hostile, site):
    assert 'href="https://host.org/me/suite"' in (hostile / "index.html").read_text()
    assert "https://host.org/me/suite" in (hostile / "result-solver.html").read_text()
    for path in (*site.glob("*.html"), *hostile.glob("*.html")):
        assert "benchopt/benchmark_bilevel" not in path.read_text(), path.name
    assert ">Source<" not in (site / "index.html").read_text(), "no address, no link"
    assert Benchmark(ROOT).name == "benchmark_bilevel"


def test_a_build_that_fails_leaves_the_earlier_site(files, tmp_path, monkeypatch):
    folder = tmp_path / "site"
    path = synthetic.write(
        synthetic.cells(SOME, n_repetitions=1), tmp_path / "a.parquet"
    )
    (folder / "figures").mkdir(parents=True)
    (folder / "figures" / "old.svg").write_text("old")
    (folder / "index.html").write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("benchmark_bilevel.report.site.draw_shares", full)
    result = CliRunner().invoke(main, ["site", str(folder), str(path)])
    assert result.exit_code == 1
    assert f"{folder} cannot be written: [Errno 28] No space left" in result.output
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.parquet", "site"]
    assert contents(folder) == {"figures/old.svg": "old", "index.html": "old"}


def contents(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_text()
        for p in folder.rglob("*")
        if p.is_file()
    }


def made(folder, *names, text="new"):
    """`folder` with files of these names."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("name", ["index.html", "style.css", "data/a.parquet"])
def test_a_file_of_somebody_else_is_not_replaced(tmp_path, name):
    site = ("index.html", "style.css", "data/a.parquet")
    others = ("data/mine.csv", "figures/paper.pdf")
    folder = made(tmp_path / "paper", name, *others, text="mine")
    before = contents(folder)
    with pytest.raises(click.ClickException, match=f"{name} is no part of a site"):
        _replace(folder, made(tmp_path / "new", *site))
    assert contents(folder) == before
    (folder / name).unlink()
    _replace(folder, made(tmp_path / "new", *site))
    found = contents(folder)
    assert {found[one] for one in site} == {"new"}
    assert {found[one] for one in others} == {"mine"}


def test_files_of_the_earlier_site_go(tmp_path):
    """Nothing but these, whatever the list of them says."""
    folder = tmp_path / "site"
    _replace(folder, made(tmp_path / "a", "index.html", "data/a.parquet"))
    made(folder, "data/mine.csv", "CNAME", text="mine")
    made(tmp_path, "outside", "too", text="mine")
    with (folder / ".site-files").open("a") as listed:
        listed.write(f"{tmp_path / 'outside'}\n../too\n")
    _replace(folder, made(tmp_path / "b", "index.html", "data/b.parquet"))
    new = {"index.html", "data/b.parquet", ".site-files"}
    assert contents(folder).keys() == new | {"data/mine.csv", "CNAME"}
    assert (tmp_path / "outside").exists() and (tmp_path / "too").exists()


def test_a_site_that_was_half_written_is_replaced(tmp_path, monkeypatch):
    folder, move = tmp_path / "site", shutil.move
    names = ("index.html", "style.css", "data/a.parquet")

    def interrupted(source, target):
        if (folder / names[0]).exists() or (folder / names[1]).exists():
            raise KeyboardInterrupt
        move(source, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shutil, "move", interrupted)
        _replace(folder, made(tmp_path / "a", *names))
    _replace(folder, made(tmp_path / "b", *names))
    assert contents(folder).keys() == {*names, ".site-files"}


@pytest.mark.parametrize("command", ["site", "figures"])
def test_an_empty_folder_name_is_a_mistake(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, [command, ""])
    assert result.exit_code == 2 and "it is empty" in result.output
    assert not list(tmp_path.iterdir())


def test_pages_of_files_that_are_gone_go(tmp_path):
    """And a page that is no part of the site stays."""
    folder, runs = tmp_path / "site", synthetic.cells(SOME, n_repetitions=1)
    folder.mkdir()
    (folder / "mine.html").write_text("mine")
    for name in ("a", "b"):
        path = synthetic.write(runs, tmp_path / f"{name}.parquet")
        result = CliRunner().invoke(main, ["site", str(folder), str(path)])
        assert result.exit_code == 0, result.output
        assert (folder / f"file-{name}.html").exists()
    assert not (folder / "file-a.html").exists()
    assert (folder / "mine.html").read_text() == "mine"


# --- whatever ran ---------------------------------------------------------------------


def plain(name, n_repetitions=2):
    """Runs of a solver that is no `BilevelSolver`: no counts, no parameters, no text."""
    runs = synthetic.cells(("SOBA",), n_repetitions=n_repetitions)
    counts = ("oracle_calls", "iterations", "diverged")
    kept = runs.drop(columns=[name for name in runs if name.startswith("p_solver_")])
    return kept.assign(
        solver_name=name,
        solver_description="",
        file_solver="/home/me/mine.py",
        **{f"objective_{count}": np.nan for count in counts},
    )


def own_problem(known):
    """Runs on a problem of one's own, which has no reference and no test set."""
    runs = synthetic.cells(SOME, has_reference=False, problem="/home/me/mine.py")
    runs["objective_test_loss"] = runs["objective_test_accuracy"] = np.nan
    return runs if known else runs.assign(objective_value=np.nan, dataset_name="other")


def few_points():
    """Runs on covtype, of SABA's with three points each."""
    runs = synthetic.cells(SOME, n_repetitions=2, dataset="covtype")
    many = ~runs["solver_name"].str.startswith("SABA") | (runs["stop_val"] < 3)
    exact = ["objective_suboptimality", "objective_value"]
    return runs.assign(**{column: runs[column].where(many) for column in exact})


@pytest.fixture(scope="module")
def anything(tmp_path_factory):
    folder = tmp_path_factory.mktemp("anything")
    mixed = pd.concat([synthetic.cells(SOME, n_repetitions=2), plain("SciPy")])
    parts = {
        "plain": plain("Unheard-of"),
        "mixed": mixed,
        "few": few_points(),
        "own": own_problem(known=True),
        "nothing": own_problem(known=False),
        "timeless": synthetic.cells(SOME, n_repetitions=2).assign(time=np.nan),
        "cut": synthetic.cells(SOME).assign(objective_end="deadline"),
    }
    paths = [
        synthetic.write(runs, folder / f"{k}.parquet") for k, runs in parts.items()
    ]
    return written(paths, folder / "site")


def test_pages_build_for_whatever_ran(anything):
    assert {"solver-scipy.html", "solver-unheard-of.html", "problem-mine.html"} < set(
        pages(anything)
    )
    index = (anything / "index.html").read_text()
    assert "5 of 5 cut" in index
    page = (anything / "problem-mine.html").read_text()
    assert "figures/problem-ijcnn1-mine-seconds.svg" in page
    drawn = (anything / "figures" / "problem-ijcnn1-mine-seconds.svg").read_text()
    assert "value function h(x)" in drawn and "SOBA" in drawn
    assert "Nothing to draw" in page, "on the other data"
    page = (anything / "problem-hyperparameter-selection.html").read_text()
    assert page.count("fewer than 4 points of a run are known: SABA.") == 1
    name = "problem-covtype-hyperparameter-selection-seconds.svg"
    drawn = (anything / "figures" / name).read_text()
    assert "SOBA" in drawn and "SABA" not in drawn
    plots, _ = plots_in(anything, "mixed")
    kinds = plots["suboptimality"]
    [seconds] = [figure for key, figure in kinds.items() if key.endswith("seconds")]
    assert [trace["label"] for trace in seconds["data"]] == ["SOBA", "SABA", "SciPy"]
    assert len(seconds["data"][2]["x"]) > 10
    [calls] = [figure for key, figure in kinds.items() if key.endswith("calls")]
    assert calls["data"][2]["label"] == "SciPy (2 of 2 at fewer than 4 points)"
    assert calls["data"][2]["x"] == []


# --- in a browser ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = next(filter(None, map(shutil.which, names)), None)
    driver = shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("needs chromium and chromedriver in PATH")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    with tempfile.TemporaryDirectory() as profile:
        for argument in (*QUIET, f"--user-data-dir={profile}"):
            options.add_argument(argument)
        options.set_capability(
            "goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"}
        )
        service = webdriver.ChromeService(driver)
        window = webdriver.Chrome(options=options, service=service)
        window.get("about:blank")  # the browser's own first page loads things
        yield window
        window.quit()


@pytest.fixture
def served(site, tmp_path):
    """The site under a sub-path of a host."""
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "path").symlink_to(site)
    handler = functools.partial(QuietHandler, directory=tmp_path)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/some/path"
    server.shutdown()
    thread.join()
    server.server_close()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        """Requests are in the browser's log."""


def open_page(browser, address):
    """Load a page; its console messages and requests."""
    browser.get_log("browser"), browser.get_log("performance")
    browser.get(address)
    wait(lambda: browser.execute_script("return document.readyState") == "complete")
    if "/result-" in address:
        wait(lambda: drawn(browser) or column(browser, 0))
    events = [
        json.loads(e["message"])["message"] for e in browser.get_log("performance")
    ]
    requests = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
        and not event["params"]["documentURL"].startswith("chrome:")
    ]
    failed = [event for event in events if event["method"] == "Network.loadingFailed"]
    console = [message["message"] for message in browser.get_log("browser")]
    return console, requests, failed


def wait(condition, seconds=600):  # only a hanging page takes longer
    for _ in range(10 * seconds):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("the page never came to that")


def drawn(browser):
    """What is in the figure: curves by name, lines and crosses, title and axes."""
    return browser.execute_script(
        """const svg = document.querySelector("#plot_container svg");
        if (!svg?.childElementCount || !svg.clientWidth) return null;
        const lines = [...svg.querySelectorAll("g > path[fill=none]")];
        const texts = [...svg.querySelectorAll("text")];
        const along = texts.filter((text) => text.getAttribute("text-anchor") === "middle");
        const [x, y] = along.slice(-2).map((text) => text.textContent);
        const legend = document.querySelectorAll("#plot_legend .curve");
        return {
          names: [...legend].map((name) => name.textContent),
          n_lines: lines.length,
          first: lines[0]?.getAttribute("d"),
          crosses: svg.querySelectorAll(".cross").length,
          title: document.getElementById("plot-title").textContent,
          x, y, ticks: along.slice(0, -2).map((text) => text.textContent),
        };"""
    )


def choose(browser, selector, value):
    browser.execute_script(
        """const [id, value] = arguments;
        const select = document.getElementById(id);
        select.value = value;
        select.dispatchEvent(new Event("change", {bubbles: true}));""",
        selector,
        value,
    )


@pytest.mark.parametrize("kind", ["file", "http"])
def test_every_page_loads_without_error(site, browser, served, kind):
    root, paths = site.as_uri(), sorted(site.glob("*.html"))
    if kind == "http":  # one of each template
        root = served
        paths = {path.name.partition("-")[0]: path for path in paths}.values()
    for path in paths:
        console, requests, failed = open_page(browser, f"{root}/{path.name}")
        assert not console and not failed, path.name
        assert len(requests) >= 1
        assert all(url.startswith((root, "data:", "blob:")) for url in requests), (
            path.name
        )
        # Some images wait until somebody scrolls to them or opens what they are in.
        browser.execute_script(
            """for (const part of document.querySelectorAll("details")) part.open = true;
            for (const image of document.images) image.loading = "eager";"""
        )
        complete = "return [...document.images].every((image) => image.complete)"
        wait(lambda: browser.execute_script(complete))  # noqa: B023
        sizes = browser.execute_script(
            "return [...document.images].map((image) => image.naturalWidth)"
        )
        assert all(sizes), path.name
        # No page is wider than the window: tables scroll in themselves.
        assert browser.execute_script(
            "return document.documentElement.scrollWidth <= window.innerWidth"
        )


def test_the_curves_are_there_and_follow_the_selectors(site, browser):
    open_page(browser, f"{site.as_uri()}/result-small.html")
    first = drawn(browser)
    assert len(first["names"]) == len(set(first["names"])) == 7
    assert first["n_lines"] >= 7
    assert "VRBO (3 of 3 diverged)" in first["names"] and first["crosses"] == 3
    assert "Covertype;" in first["title"] and "20–80 %" in first["title"]
    assert (first["x"], first["y"]) == (
        "solver time [s]",
        METRICS["suboptimality"].line,
    )
    assert all(tick.startswith("10") for tick in first["ticks"])

    choose(browser, "change_suboptimality_x_axis", "oracle calls")
    calls = drawn(browser)
    assert calls["x"].startswith("oracle calls") and calls["first"] != first["first"]
    choose(browser, "change_scale", "semilog-y")
    linear = drawn(browser)
    assert linear["x"] == calls["x"] and "0" in linear["ticks"]
    assert linear["first"] != calls["first"]
    choose(browser, "change_suboptimality_problem", "quadratic")
    other = drawn(browser)
    assert other["title"].startswith("Quadratic") and other["names"] == ["SOBA", "SABA"]
    choose(browser, "plot_kind", "performance_profile")
    profile = drawn(browser)
    assert profile["y"].startswith("share of runs")
    diverged = {"VRBO (3 of 3 diverged)"}
    assert set(profile["names"]) == {*synthetic.SOLVERS, *diverged}


def test_all_curves_of_a_sweep_are_drawn(site, browser, files):
    open_page(browser, f"{site.as_uri()}/result-sweep.html")
    figure = drawn(browser)
    assert len(set(figure["names"])) == N_CURVES
    assert all(re.match(r"\w+ step_size=[\d.]+$", name) for name in figure["names"])


def column(browser, k):
    return browser.execute_script(
        """return [...document.querySelectorAll("#table_container tbody tr")].map(
        (row) => row.cells[arguments[0]].textContent)""",
        k,
    )


def test_the_tables_sort(site, browser):
    open_page(browser, f"{site.as_uri()}/result-small.html")
    choose(browser, "plot_kind", "summary")
    wait(lambda: len(column(browser, 0)) == 7)
    assert column(browser, 0) == ["1", "1", "3", "4", "5", "6", "7"]
    assert (column(browser, 1)[-1], column(browser, 2)[-1]) == (
        "VRBO",
        "3 of 3 diverged",
    )
    heading = 'document.querySelectorAll("#table_container .gridjs-th")[6]'
    for reverse in (False, True):
        browser.execute_script(f"{heading}.click()")
        *values, last = column(browser, 6)
        assert last == "–", "the diverged run is last in either order"
        numbers = [float(value) for value in values]
        assert numbers == sorted(numbers, reverse=reverse)
    # The site's own tables.
    open_page(browser, f"{site.as_uri()}/index.html")
    table = "document.querySelector('table.matrix')"
    values = f"return [...{table}.tBodies[0].rows].map((r) => r.cells[2].dataset.value)"
    browser.execute_script(f"{table}.tHead.rows[0].cells[2].click()")
    *known, last = browser.execute_script(values)
    assert last == "", "VRBO was not run there"
    assert [float(value) for value in known] == sorted(float(value) for value in known)


def test_code_is_copied_by_its_button(site, browser):
    browser.get((site / "solver-saba.html").as_uri())
    browser.execute_script(
        """navigator.clipboard.writeText = async (text) => (window.taken = text);"""
    )
    blocks = browser.find_elements("css selector", "pre:not(.formula)")
    buttons = browser.find_elements("css selector", ".copied > pre + button")
    assert len(buttons) == len(blocks) > 0 and buttons[-1].text == "Copy"
    buttons[-1].click()
    wait(lambda: browser.execute_script("return window.taken"))
    taken = browser.execute_script("return window.taken")
    assert "def step(" in taken and taken == blocks[-1].get_attribute("textContent")


def test_the_matrix_has_other_targets_and_costs(site, browser):
    """By keyboard; what it shows is the number in the table of the problem's page."""
    open_page(browser, f"{site.as_uri()}/index.html")
    cell = """const row = [...document.querySelectorAll("table.matrix tbody tr")].find(
        (row) => row.cells[0].textContent.trim() === "SOBA");
        return [row.cells[2].firstElementChild.textContent, row.className, row.hidden]"""
    seconds = browser.execute_script(cell)[0]
    assert seconds.endswith(" s")
    choice = browser.find_element("css selector", "#choices [name=axis]")
    choice.send_keys(ARROW_RIGHT)
    calls = browser.execute_script(cell)[0]
    assert "·10" in calls and calls != seconds
    page = (site / "problem-hyperparameter-selection.html").read_text()
    assert f">{seconds}</td>" in page and f">{calls}</td>" in page
    choose_named(browser, "group", ANEW)
    assert browser.execute_script(cell)[2], "SOBA is in another group"
    choose_named(browser, "group", "")
    assert not browser.execute_script(cell)[2]


def choose_named(browser, name, value):
    browser.execute_script(
        """const [name, value] = arguments;
        const select = document.querySelector(`#choices [name=${name}]`);
        select.value = value;
        select.dispatchEvent(new Event("change", {bubbles: true}));""",
        name,
        value,
    )


def test_the_download_is_the_result_file(site, browser, served, files, tmp_path):
    open_page(browser, f"{served}/result-sweep.html")
    folder = tmp_path / "downloads"
    behaviour = {"behavior": "allow", "downloadPath": str(folder)}
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", behaviour)
    browser.execute_script("document.querySelector('a[href$=\".parquet\"]').click()")
    path = folder / "sweep.parquet"
    wait(path.exists)
    assert path.read_bytes() == files[0].read_bytes()


def test_no_script_of_a_file_runs(hostile, anything, browser):
    """On any page, in any view; nor does the browser have to refuse one."""
    for site in (hostile, anything):
        for path in sorted(site.glob("*.html")):
            console, requests, failed = open_page(browser, path.as_uri())
            if path.name.startswith("result-text"):
                browser.execute_script(
                    """for (const view of document.querySelectorAll(".view")) {
                      view.click();
                    }"""
                )
                console += [entry["message"] for entry in browser.get_log("browser")]
            assert not console and not failed, path.name
            root = (site.as_uri(), "data:", "blob:")
            assert all(url.startswith(root) for url in requests), path.name
            title = "return document.documentElement.title"
            assert browser.execute_script(title) != "ran", path.name


def test_the_policy_holds_where_escaping_would_not(site, browser, tmp_path):
    """Scripts that somebody put into the pages themselves do not run either."""
    copy = shutil.copytree(site, tmp_path / "site")
    for name in ("index.html", "result-small.html"):
        text = (copy / name).read_text()
        elements = f'<script>{RUN}</script>{IMAGE}<a href=# onclick="{RUN}">a</a>'
        (copy / name).write_text(text.replace("</body>", f"{elements}</body>"))
        console, *_ = open_page(browser, (copy / name).as_uri())
        assert sum("Content Security Policy" in message for message in console) >= 2
        title = "return document.documentElement.title"
        assert browser.execute_script(title) != "ran"
