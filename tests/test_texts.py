"""Texts of the web site: formulas, papers, guides, and what machines read of it."""

import ast
import inspect
import json
import re
from xml.etree import ElementTree

import pytest
import synthetic_results as synthetic
from benchopt.benchmark import Benchmark
from conftest import ROOT

from benchmark_bilevel import methods
from benchmark_bilevel.problems import PROBLEMS
from benchmark_bilevel.report.names import FileNames
from benchmark_bilevel.report.origins import pages_address
from benchmark_bilevel.report.reading import read
from benchmark_bilevel.report.site.citations import cited, suite_bibtex
from benchmark_bilevel.report.site.code import code
from benchmark_bilevel.report.site.content import problem_pages
from benchmark_bilevel.report.site.docstrings import as_html
from benchmark_bilevel.report.site.files import result_files
from benchmark_bilevel.report.site.guides import PageRenderer, colophon, guides
from benchmark_bilevel.report.site.mathematics import from_text, with_scripts
from benchmark_bilevel.report.site.records import results_json, site_map
from benchmark_bilevel.report.site.references import Paper, items, papers
from benchmark_bilevel.report.site.searching import parts_of
from benchmark_bilevel.version import __version__

SOLVERS = {
    path.stem: ast.parse(path.read_text())
    for path in sorted((ROOT / "solvers").glob("*.py"))
    if not path.stem.startswith("template_")
}
ADDRESS = "https://host.org/me/suite/blob/abc"


def docstring(name):
    """Of the class in ``solvers/<name>.py``, which is not loaded for it."""
    [solver] = [node for node in SOLVERS[name].body if isinstance(node, ast.ClassDef)]
    return ast.get_docstring(solver)


# --- mathematics ------------------------------------------------------------------------


def test_formulas_become_mathematics():
    html = from_text("g(z, x) = 1/n Σ_i ½ (a'_iᵀ X z − ỹ_i)² + λ/2 ‖z‖² + mean of z")
    root = ElementTree.fromstring(f"<div>{html}</div>")
    tags = [element.tag.rpartition("}")[2] for element in root.iter()]
    assert tags.count("math") == 1 and tags.count("mfrac") == 3
    assert {"munder", "msup", "msubsup", "mover"} < set(tags)
    text = "".join(root.itertext())
    assert not set(text) & set("_^\\{}$²½"), "nothing of the notation is left"
    assert "mean" in text and "λ" in text


@pytest.mark.parametrize(
    "text", ['<b c="d">', r"\input{x}", "${}", 'a"b', "x & y", "<!--"]
)
def test_other_texts_stay_as_they_are(text):
    html = from_text(text)
    assert html.startswith("<pre") and "<b" not in html and "<!--" not in html


@pytest.mark.parametrize("name", PROBLEMS)
def test_all_formulas_of_problems_become_mathematics(name):
    html = as_html(PROBLEMS[name].__doc__)
    assert "<math" in html and "<pre class" not in html
    ElementTree.fromstring(f"<div>{html}</div>")


def test_subscripts_in_running_texts():
    html = with_scripts("z_T(x) and a'_ij, not n_inner, 10^−3 (t + 1)^(−1/2) <i>_1")
    assert html == (
        "<i>z</i><sub><i>T</i></sub>(<i>x</i>) and <i>a&#39;</i><sub><i>ij</i></sub>, not "
        "n_inner, 10<sup>−3</sup> (<i>t</i> + 1)<sup>−1/2</sup> &lt;i&gt;_1"
    )


@pytest.mark.parametrize(
    "text, html",
    [
        ("∇²zz g_i v", "∇²<sub>zz</sub> g<sub>i</sub> v"),
        ("∇h, H⁻¹∇z f", "∇h, H⁻¹∇<sub>z</sub> f"),
        (
            "Σ_{q=0}^{Q} H_{B_j}",
            "Σ<sub>q=0</sub><sup>Q</sup> H<sub>B<sub>j</sub></sub>",
        ),
        (
            "c₂η_0², λ0 at x0",
            "c<sub>2</sub>η<sub>0</sub>², λ<sub>0</sub> at x<sub>0</sub>",
        ),
        ("½ vᵀHv", "½ v<sup>⊤</sup>Hv"),
        ("old_i − x_old", "old<sub>i</sub> − x<sub>old</sub>"),
    ],
)
def test_notation_of_running_text_is_set(text, html):
    found = with_scripts(text)
    assert re.sub("</?i>", "", found) == html and "<i>" in found


def test_words_of_one_letter_are_no_variables():
    text = "A problem's x; e.g. a step of L-BFGS-B in I"
    assert with_scripts(text) == text.replace("'", "&#39;").replace("x", "<i>x</i>")
    assert with_scripts("a ← A − I") == "<i>a</i> ← <i>A</i> − I"
    assert (
        with_scripts("iterations/s, 2 GFlop/s, 1 s") == "iterations/s, 2 GFlop/s, 1 s"
    )
    assert with_scripts("1/s") == "1/<i>s</i>"


def test_code_has_classes_and_stays_the_code():
    text = 'def step(z):  # < one\n    """Text."""\n    return z, 0.5\n\n'
    html = code(text, "python")
    root = ElementTree.fromstring(html)
    assert "".join(root.itertext()) == text
    kinds = {word.get("class"): word.text for word in root.iter("span")}
    assert kinds == {
        "keyword": "return",
        "name": "step",
        "comment": "# < one",
        "text": '"""Text."""',
        "constant": "0.5",
    }
    assert code("a < b", "no language") == code("a < b", "text")


# --- papers -----------------------------------------------------------------------------


ENTRY = re.compile(r"@\w+\{[a-z]+\d{4}[a-z0-9]+,\n(  \w+ = \{.+\},\n)+\}")
PLACES = ("https://arxiv.org/abs/", "https://dblp.org/search?q=")


@pytest.mark.parametrize("name", SOLVERS)
def test_each_paper_has_an_entry_of_a_bibliography(name):
    text = docstring(name)
    *_, references = text.split("References\n----------\n")
    found = papers(references)
    assert len(found) == references.count('"') // 2
    for paper in found:
        assert ENTRY.fullmatch(paper.bibtex)
        assert paper.address.startswith(PLACES)
        assert "et al" not in paper.authors
    html = as_html(text)
    assert html.count("@") == len(found)


def test_entries_have_what_the_text_says():
    text = """A. B. Cee, D.-E. Fé, "On a
    title", SIAM J. Optim. 33, 2023. Ours.
    G. H. Aich, "Other: words", AISTATS 2022, arXiv:2102.04671, after
    I. Jay, "A third", arXiv:2106.11396, 2021.
    K. Ell, "A fourth", JMLR 24, 2023, section
    7.3.
    M. Em, "A fifth", SIAM J. Sci. Comput. 16, 1995."""
    text = inspect.cleandoc(text)
    assert [item[:7] for item in items(text)] == [
        "A. B. C",
        "G. H. A",
        "K. Ell,",
        "M. Em, ",
    ]
    first, second, third, fourth, fifth = papers(text)
    assert first.key == "cee2023title" and first.authors == "A. B. Cee, D.-E. Fé"
    assert "author = {A. B. Cee and D.-E. Fé}" in first.bibtex
    assert "journal = {SIAM J. Optim.}" in first.bibtex
    assert "volume = {33}" in first.bibtex and first.bibtex.startswith("@article")
    assert "booktitle = {AISTATS}" in second.bibtex and "2102.04671" in second.bibtex
    assert third.bibtex.startswith("@misc") and "year = {2021}" in third.bibtex
    assert third.address == "https://arxiv.org/abs/2106.11396"
    assert "Journal of Machine Learning Research" in fourth.bibtex
    assert "journal = {SIAM J. Sci. Comput.}" in fifth.bibtex
    assert "volume = {16}" in fifth.bibtex


def test_one_key_is_one_paper():
    texts = [docstring(name) for name in SOLVERS]
    texts += [problem.__doc__ for problem in PROBLEMS.values()]
    titles = {}
    for paper in papers("\n".join(texts)):
        assert titles.setdefault(paper.key, paper.title) == paper.title


def test_the_suite_can_be_cited():
    bibtex = suite_bibtex(ROOT, "https://host.org/me/suite")
    assert f"version = {{{__version__}}}" in bibtex, "CITATION.cff has the version"
    assert "url = {https://host.org/me/suite}" in bibtex
    assert suite_bibtex(ROOT / "docs", "") == ""


# --- guides -----------------------------------------------------------------------------


def test_guides_are_pages_with_links_that_work():
    found = [*guides(ROOT, ADDRESS), *colophon(ROOT, ADDRESS)]
    paths = {guide.path for guide in found}
    assert {"add-a-solver.html", "changes.html", "licence.html"} < paths
    for guide in found:
        assert guide.title and len(guide.summary) > 10
        ids = set(re.findall(r' id="([^"]+)"', guide.html))
        for address in re.findall(r'href="([^"]+)"', guide.html):
            if address.startswith(ADDRESS):
                assert (ROOT / address.removeprefix(f"{ADDRESS}/")).exists(), address
            elif not address.startswith("https://"):
                path, _, anchor = address.partition("#")
                assert path in paths or (not path and anchor in ids), address
    mathematics = "".join(guide.html for guide in found)
    assert "<math" in mathematics and "$" not in re.sub(
        "<pre.*?</pre>", "", mathematics
    )


def test_markdown_becomes_parts_of_a_page():
    renderer = PageRenderer("docs/a.md", {"docs/b.md": "b.html"}, "")
    assert renderer.link("b", "b.md#part") == '<a href="b.html#part">b</a>'
    assert renderer.link("c", "../c.py") == "c", "nowhere on the web"
    renderer.url = ADDRESS
    assert renderer.link("c", "../c.py") == f'<a href="{ADDRESS}/c.py">c</a>'
    assert renderer.heading("More <code>x</code>", 2) == (
        '<h2 id="more-x">More <code>x</code></h2>\n'
    )
    assert renderer.table_cell("a", head=True) == '<th scope="col">a</th>\n'
    assert "&lt;script" in renderer.block_code("<script>")


def test_the_texts_name_every_solver():
    code = "".join(map(ast.unparse, SOLVERS.values()))
    names = re.findall(r"^    name = '(.+)'", code, re.MULTILINE)
    assert len(names) == len(SOLVERS)
    for path in ("README.md", "docs/solvers.md"):
        words = set(re.findall(r"[\w†-]+", (ROOT / path).read_text()))
        assert set(names) <= words, path


def test_the_texts_name_every_problem_and_data_set():
    text = (ROOT / "docs" / "problems.md").read_text()
    names = [path.stem for path in (ROOT / "datasets").glob("*.py")]
    for name in [*PROBLEMS, *names]:
        assert f"`{name}`" in text, name


def test_the_texts_name_all_that_a_solver_is_made_of():
    text = (ROOT / "docs" / "add-a-solver.md").read_text()
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    named = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", prose))))
    public = {
        name for name, part in vars(methods).items() if not inspect.ismodule(part)
    }
    assert {name for name in public if name[0] != "_"} <= named


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().split()) < 1500


# --- machines ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def contents(tmp_path_factory):
    """Files and problem pages of a small result file, without its figures."""
    folder = tmp_path_factory.mktemp("results")
    runs = synthetic.cells(("SOBA", "SABA"), n_repetitions=3)
    results = read([synthetic.write(runs, folder / "a.parquet")])
    files = result_files(results, Benchmark(ROOT))
    return files, problem_pages(results, files, folder, FileNames())


def test_machines_read_the_tables(contents):
    files, pages = contents
    content = json.loads(results_json(pages, files, "https://host.org/me/suite"))
    [case] = pages[0].cases
    [problem] = content["problems"]
    assert problem["name"] == case.name and problem["data"] == "data/a.parquet"
    assert len(problem["solvers"]) == len(case.table) == 2
    for row, (_, expected) in zip(
        problem["solvers"], case.table.iterrows(), strict=True
    ):
        assert row["solver"] == expected["solver"] and row["runs"] == 3
        assert row["value"] == expected["value"]
        assert row["rank"] == expected["rank"]
        assert row["suboptimality"] == expected["median"]
        assert row["test_accuracy"] == expected["test_accuracy"]
        assert row["test_loss"] == expected["test_loss"]
        assert row["targets"]["seconds"]["1e-01"] == expected["seconds", 0.1]
        assert row["targets"]["seconds"]["1e-06"] is None, "not reached"
    [file] = content["files"]
    assert file["runs"] == 6 and "commit 0000000" in file["made_by"]


def test_the_map_has_all_pages():
    root = ElementTree.fromstring(site_map("https://me.github.io/suite", ["a.html"]))
    assert "".join(root.itertext()).strip() == "https://me.github.io/suite/a.html"
    assert pages_address("https://github.com/Me/suite") == "https://me.github.io/suite"
    assert pages_address("https://host.org/me/suite") == ""


def test_papers_have_the_pages_that_cite_them(contents):
    _, pages = contents
    found = {paper.key: [page.name for page in by] for paper, by in cited(pages)}
    assert found["ji2021bilevel"] == ["hyperparameter-selection"]
    names = [paper.authors.split(", ")[0].split()[-1] for paper, _ in cited(pages)]
    assert len(names) > 1 and names == sorted(names)
    assert Paper("A. Bee", "Do it", "ICML 2024", "2024").key == "bee2024doit"


def test_the_search_looks_through_the_parts_of_pages():
    html = (
        "<nav>no</nav><h1>A <i>page</i></h1><p>first</p><pre>no</pre>"
        '<h2 id="b">Part</h2><table><tr><td>no</td></tr></table>second<h3>third</h3>'
    )
    first, second = parts_of({"a.html": html})
    assert first == {
        "title": "A page",
        "page": "A page",
        "address": "a.html",
        "text": "first",
    }
    assert (second["address"], second["text"]) == ("a.html#b", "second third")
