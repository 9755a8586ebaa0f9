"""From numpydoc's text to HTML: the documentation in the code is that of the site."""

import inspect
import re
from itertools import groupby

from markupsafe import Markup, escape

SECTION = re.compile(r"^(\w[\w ]*)\n-+$", re.MULTILINE)


def as_html(text):
    """HTML of a docstring.

    Indented blocks are formulas, underlined lines headings, ``name : type`` lines in
    sections terms, lines that start with a hyphen items of a list.

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
        terms = title in ("Parameters", "Attributes", "Returns")
        html.append(Markup("<h3>{}</h3>").format(title))
        html.append(
            _terms(body.strip("\n")) if terms else _paragraphs(body.strip("\n"))
        )
    return Markup("\n").join(html)


def _paragraphs(text):
    html = []
    for block in re.split(r"\n\s*\n", text):
        if not block.strip():
            continue
        if block.startswith("    "):
            formula = escape(inspect.cleandoc(block))
            html.append(Markup('<pre class="formula">{}</pre>').format(formula))
        elif block.startswith("- "):
            items = re.split(r"\n(?=- )", block)
            html.append(Markup("<ul>{}</ul>").format(_items(items)))
        else:
            html.append(Markup("<p>{}</p>").format(_inline(block)))
    return Markup("\n").join(html)


def _items(items):
    found = (Markup("<li>{}</li>").format(_inline(item[2:])) for item in items)
    return Markup("").join(found)


def _terms(text):
    html, lines = [], text.splitlines()
    for indented, group in groupby(lines, lambda line: line.startswith((" ", "\t"))):
        part = " ".join(line.strip() for line in group)
        tag = "dd" if indented else "dt"
        html.append(Markup(f"<{tag}>{{}}</{tag}>").format(_inline(part)))
    return Markup("<dl>{}</dl>").format(Markup("").join(html))


def _inline(text):
    """Code between backticks."""
    text = str(escape(text))
    return Markup(re.sub(r"``?([^`]+)``?", r"<code>\1</code>", text))
