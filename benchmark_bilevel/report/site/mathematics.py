"""Formulas as MathML, which browsers show without any script."""

import re

from latex2mathml.converter import convert
from markupsafe import Markup, escape

# What formulas in docstrings consist of; a text with anything else stays a text.
FORMULA = re.compile(r"[\w\s()\[\]|=+−·/.,;'*^<>≤≥←→∈∞∇ΣΠ√½‖ᵀ²³⁻¹×:…-]+")
LATEX = (
    (r"\s{2,}", r" \\quad "),
    (r"½", r"\\tfrac{1}{2} "),
    (r"([\w)])\*", r"\1^{*}"),
    (r"([\w)‖])⁻¹", r"\1^{-1}"),
    (r"_([A-Za-z0-9]+)", r"_{\1}"),
    (r"([\w)}‖∇])²", r"\1^{2}"),
    (r"(?<!\w)(\w+)/(?:(\w+)|\((\w+)\))", r"\\frac{\1}{\2\3}"),
    (r"ᵀ", r"^{\\top} "),
    (r"Σ", r"\\sum "),
    (r"ỹ", r"\\tilde{y}"),
    (r"ℓ", r"\\ell "),
    (r"‖", r"\\Vert "),
    (r"(?<![\\\w{])([A-Za-z]{2,})(?=[(_])", r"\\text{\1}"),
    (r"(?<![\\\w{])([A-Za-z]{2,})(?![\w}])", r"\\text{ \1 }"),
    (r"−", "-"),
)
# After a single letter, which may have a prime: the names of parameters are longer.
SUBSCRIPT = re.compile(
    r"(?<![\w.])([^\W\d_](?:&#39;)?)_"
    r"(?:(\d+|[A-Za-z]{1,2}|old|new)|\{([^{}<>]+)\})(?![A-Za-z0-9_])"
)
SUPERSCRIPT = re.compile(r"\^(?:\(([^()<>]+)\)|([−-]?[\w/]+))")


def from_latex(text, display="inline"):
    """MathML of a LaTeX formula of ours.

    Parameters
    ----------
    text : str
    display : {"inline", "block"}

    Returns
    -------
    Markup
    """
    return Markup(convert(text, display=display))


def from_text(text):
    """A block of the formula that `text` is, a line each; as it is if it is none.

    Docstrings have formulas for people who read code: subscripts after an underscore,
    fractions as 1/n, sums as Σ_i.
    """
    if not FORMULA.fullmatch(text):
        return Markup('<pre class="formula" tabindex="0">{}</pre>').format(text)
    lines = (from_latex(_latex(line), "block") for line in text.splitlines())
    return Markup('<div class="formula" tabindex="0">{}</div>').format(
        Markup("").join(lines)
    )


def _latex(line):
    for pattern, replacement in LATEX:
        line = re.sub(pattern, replacement, line)
    return line


def with_scripts(text):
    """HTML of a text, with its short subscripts and its exponents set as such."""
    html = SUBSCRIPT.sub(_lowered, str(escape(text)))
    return Markup(SUPERSCRIPT.sub(_raised, html))


def _lowered(found):
    return f"<i>{found[1]}</i><sub>{found[2] or found[3]}</sub>"


def _raised(found):
    return f"<sup>{found[1] or found[2]}</sup>"
