"""From numpydoc's text to HTML: the documentation in the code is that of the site."""

import inspect
import re
from itertools import groupby

from markupsafe import Markup, escape

from benchmark_bilevel.report.site.mathematics import from_text, with_scripts
from benchmark_bilevel.report.site.references import items, papers

SECTION = re.compile(r"^(\w[\w ]*)\n-+$", re.MULTILINE)


def as_html(text):
    """HTML of a docstring.

    Indented blocks are formulas, underlined lines headings, ``name : type`` lines in
    sections terms, lines that start with a hyphen items of a list, and so are papers
    under "References".

    Parameters
    ----------
    text : str

    Returns
    -------
    Markup
    """
    text = inspect.cleandoc(text)
    parts = SECTION.split(text)
    html = [_paragraphs(parts[0])]
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        form = FORMS.get(title, _paragraphs)
        html += [Markup("<h2>{}</h2>").format(title), form(body.strip("\n"))]
    return Markup("\n").join(html)


def _paragraphs(text):
    html = []
    for block in re.split(r"\n\s*\n", text):
        if not block.strip():
            continue
        if block.startswith("    "):
            html.append(from_text(inspect.cleandoc(block)))
        elif block.startswith("- "):
            lines = re.split(r"\n(?=- )", block)
            html.append(_list(inline(line[2:]) for line in lines))
        else:
            html.append(Markup("<p>{}</p>").format(inline(block)))
    return Markup("\n").join(html)


def _list(html):
    listed = Markup("").join(Markup("<li>{}</li>").format(item) for item in html)
    return Markup("<ul>{}</ul>").format(listed)


def _references(text):
    """A list of papers, each with its BibTeX to unfold."""
    return _list(_reference(item) for item in items(text))


def _reference(item):
    html, bibtex = inline(item), []
    for paper in papers(item):
        link = Markup('<a href="{}">{}</a>').format(paper.address, paper.title)
        html = html.replace(inline(paper.title), link)
        bibtex.append(paper.bibtex)
    if bibtex:
        html += Markup(
            '<details><summary>BibTeX</summary><pre tabindex="0">{}</pre></details>'
        ).format("\n\n".join(bibtex))
    return html


def _terms(text):
    html, lines = [], text.splitlines()
    for indented, group in groupby(lines, lambda line: line.startswith((" ", "\t"))):
        part = " ".join(line.strip() for line in group)
        tag, form = ("dd", inline) if indented else ("dt", escape)
        html.append(Markup(f"<{tag}>{{}}</{tag}>").format(form(part)))
    return Markup("<dl>{}</dl>").format(Markup("").join(html))


def inline(text):
    """HTML of a line: code between backticks, and mathematics outside it."""
    parts = re.split(r"``?([^`]+)``?", text)
    html = [
        Markup("<code>{}</code>").format(part) if k % 2 else with_scripts(part)
        for k, part in enumerate(parts)
    ]
    return Markup("").join(html)


FORMS = {
    **dict.fromkeys(("Parameters", "Attributes", "Returns"), _terms),
    "References": _references,
}
