"""Pages from the texts in ``docs/``: Markdown as GitHub shows it, mathematics as MathML."""

import posixpath
import re
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import mistune
from markupsafe import Markup
from mistune.plugins.math import math
from mistune.plugins.table import table

from benchmark_bilevel.report.names import file_name
from benchmark_bilevel.report.site.code import code
from benchmark_bilevel.report.site.mathematics import SCROLLED, from_latex, with_scripts

TITLE = re.compile(r"# (.+)\n+")
# Texts at the repository's root that have a page of another name.
ROOT_TEXTS = {"CHANGELOG.md": "changes.html", "CONTRIBUTING.md": "contributing.html"}
# What was found beside the curves.
EVIDENCE = {
    "results/REPRODUCTION.md": "reproductions.html",
    "results/VERIFICATION.md": "verification.html",
}


@dataclass
class Guide:
    """A text of the repository as a page."""

    title: str
    path: str  # of the page
    source: str  # of the text, from the repository's root
    summary: str  # its first paragraph, without markup
    html: str

    @property
    def label(self):
        """What links call it, in a word."""
        return self.path.removesuffix(".html").capitalize()


def guides(folder, url):
    """A `Guide` for each text in `folder`/docs, in alphabetical order.

    Parameters
    ----------
    folder : Path
        The benchmark's.
    url : str
        Of the repository's files, where links to them lead; "" if nowhere.
    """
    return [
        _guide(folder, source, pages_of(folder), url)
        for source in pages_of(folder)
        if source.startswith("docs/")
    ]


def colophon(folder, url):
    """Changes, how to contribute and the licence, as a `Guide` each."""
    found = _present(folder, ROOT_TEXTS, url)
    if (folder / "LICENSE").exists():
        text = (folder / "LICENSE").read_text(encoding="utf-8")
        html = str(Markup('<pre class="wrap">{}</pre>').format(text))
        found.append(Guide("Licence", "licence.html", "LICENSE", "The licence.", html))
    return found


def evidence(folder, url):
    """Reproductions of published claims, and the verification of the solvers, likewise."""
    return _present(folder, EVIDENCE, url)


def _present(folder, sources, url):
    pages = pages_of(folder)
    return [_guide(folder, source, pages, url) for source in sources if source in pages]


def pages_of(folder):
    """From the repository's texts in Markdown to their pages."""
    names = [path.stem for path in sorted((folder / "docs").glob("*.md"))]
    pages = {f"docs/{name}.md": f"{file_name(name)}.html" for name in names}
    others = ROOT_TEXTS | EVIDENCE
    return pages | {k: v for k, v in others.items() if (folder / k).exists()}


def _guide(folder, source, pages, url):
    text = (folder / source).read_text(encoding="utf-8")
    title = TITLE.match(text)
    name, start = (title[1], title.end()) if title else (Path(source).stem, 0)
    body = text[start:]
    renderer = PageRenderer(source, pages, url)
    html = mistune.create_markdown(renderer=renderer, plugins=[table, math])(body)
    first = re.sub(r"[`*\[\]\\]|\(\S+\)", "", body.partition("\n\n")[0])
    return Guide(name, pages[source], source, " ".join(first.split()), html)


def _begun_with_a_letter(anchor):
    return re.sub(r"^(?=\d)", "part-", anchor)


class PageRenderer(mistune.HTMLRenderer):
    """Headings that links lead to, tables that scroll, links that work on the site.

    Parameters
    ----------
    source : str
        Of the text, from the repository's root.
    pages : dict
        From texts of the repository to their pages.
    url : str
        Of the repository's files.
    """

    def __init__(self, source, pages, url):
        super().__init__(escape=True)
        self.folder, self.pages, self.url = posixpath.dirname(source), pages, url

    def text(self, text):
        return str(with_scripts(text))

    def heading(self, text, level, **attributes):
        anchor = file_name(unescape(re.sub("<[^>]*>", "", text))).replace(".", "-")
        return f'<h{level} id="{_begun_with_a_letter(anchor)}">{text}</h{level}>\n'

    def block_code(self, text, info=None):
        if info == "math":
            formula = from_latex(text, "block")
            return f"{SCROLLED.format('formula', 'Formula')}{formula}</div>"
        return f"{code(text, info or 'text')}\n"

    def block_math(self, text):
        return self.block_code(text, "math")

    def inline_math(self, text):
        return str(from_latex(text))

    def table(self, text):
        return f"{SCROLLED.format('scroll', 'Table')}<table>{text}</table></div>\n"

    def table_cell(self, text, align=None, head=False):
        tag = 'th scope="col"' if head and text else "td"
        return f"<{tag}>{text}</{tag[:2]}>\n"

    def link(self, text, url, title=None):
        if re.match(r"[a-z]+:", url):
            return super().link(text, url, title)
        path, hash_sign, fragment = url.partition("#")
        fragment = _begun_with_a_letter(fragment)
        if not path:
            return super().link(text, hash_sign + fragment, title)
        path = posixpath.normpath(posixpath.join(self.folder, path))
        if path in self.pages:
            address = self.pages[path] + hash_sign + fragment
            return super().link(text, address, title)
        return super().link(text, f"{self.url}/{path}", title) if self.url else text
