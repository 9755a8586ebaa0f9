"""Formulas as MathML, which browsers show without any script."""

import re

from latex2mathml.converter import convert
from markupsafe import Markup, escape

# What may be wider than the window is moved by keyboard, too.
SCROLLED = Markup('<div class="{}" tabindex="0" role="group" aria-label="{}">')
# What formulas in docstrings consist of; a text with anything else stays a text.
FORMULA = re.compile(r"[\w\s()\[\]|=+−·/.,;'*^<>≤≥←→∈∞∇ΣΠ√½‖ᵀ²³⁻¹×:…-]+")
LATEX = (
    (r"\s{2,}", r" \\quad "),
    (r"∇(²?)([xz]{1,2})(?![\w(])", r"\\nabla\1_{\2} "),
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
# In running text, in this order. A letter may have an accent or a prime and no letter
# beside it: the names of parameters are longer.
LETTER = r"(?:(?:[A-Za-zÀ-ÿĀ-ſͰ-ϿḀ-ỿ][\u0302\u0303]?)(?:&#39;(?=[\W_]))?)"
SCRIPTS = (
    (r"∇(²?)([xz]{1,2})(?![\w(])", r"∇\1<sub>\2</sub>"),
    (r"(?<![\w.])([vwxyzλ])0(?!\w)", r"\1<sub>0</sub>"),
    *2
    * (
        (
            rf"(?<![A-Za-z0-9_.])({LETTER}|old)_(\d+|[A-Za-z]{{1,2}}|old|new)(?![A-Za-z0-9_])",
            r"\1<sub>\2</sub>",
        ),
        (rf"({LETTER})_\{{((?:[^{{}}]|\{{[^{{}}]*\}})+)\}}", r"\1<sub>\2</sub>"),
    ),
    (r"\^(?:\(([^()<>]+)\)|\{([^{}]+)\}|([−-]?[\w/]+))", r"<sup>\1\2\3</sup>"),
    (r"ᵀ", "<sup>⊤</sup>"),
)
# A word, unless there is an operator or a script behind it, and signs that stand upright;
# units behind a number or in a rate (GFlop/s) are no variables, either.
UPRIGHT = r"[aAI](?! ?[←=+−/),⁻<&])|[ΣΠ]"
VARIABLE = re.compile(
    r"<[^>]*>|(?<=<sub>)[a-z]{2}(?=</sub>)|(?<=⊤</sup>)[A-Za-z]{2}\b"
    rf"|(?<![A-Za-z0-9_.’;-])(?<!\d (?=[sBhMk]))(?<![a-z]{{2}}/(?=s))(?!{UPRIGHT}){LETTER}"
    r"(?![A-Za-z0-9_+-]|\.[\w-]|(?<=[A-Z])\. [A-Z])"
)
BELOW = {ord("₀") + k: f"<sub>{k}</sub>" for k in range(10)}


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
    return Markup("{}{}</div>").format(
        SCROLLED.format("formula", "Formula"), Markup("").join(lines)
    )


def _latex(line):
    for pattern, replacement in LATEX:
        line = re.sub(pattern, replacement, line)
    return line


def with_scripts(text):
    """HTML of a text, with its variables, what is below and above them set as such."""
    html = str(escape(text)).translate(BELOW)
    for pattern, replacement in SCRIPTS:
        html = re.sub(pattern, replacement, html)
    return Markup(VARIABLE.sub(_italic, html))


def _italic(found):
    return found[0] if found[0][0] == "<" else f"<i>{found[0]}</i>"
