"""How to cite the suite and the papers behind its solvers and problems."""

import inspect

import yaml

from benchmark_bilevel.report.site.docstrings import SECTION
from benchmark_bilevel.report.site.references import papers


def suite_bibtex(folder, url):
    """The entry of the suite itself, from ``CITATION.cff`` in `folder`; "" without one."""
    path = folder / "CITATION.cff"
    if not path.exists():
        return ""
    facts = yaml.safe_load(path.read_text(encoding="utf-8"))
    fields = {
        "author": " and ".join(f"{{{person['name']}}}" for person in facts["authors"]),
        "title": f"{{{facts['title']}}}",
        "version": facts["version"],
        "year": str(facts["date-released"])[:4],
    }
    if url:
        fields["url"] = url
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
    return "\n".join(["@software{benchmark_bilevel,", *lines, "}"])


def cited(pages):
    """Pairs (paper, the `pages` whose texts cite it), by the first author's surname.

    Parameters
    ----------
    pages : sequence of content.SolverPage and content.ProblemPage
    """
    found = {}
    for page in pages:
        for paper in papers(_references(page.text)):
            found.setdefault(paper.key, (paper, []))[1].append(page)
    return sorted(found.values(), key=lambda pair: pair[0].surname)


def _references(text):
    """The section "References" of a docstring."""
    parts = SECTION.split(inspect.cleandoc(text))
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    return sections.get("References", "")
