"""Code on pages: its kinds of words have classes, whose colours are in style.css."""

from markupsafe import Markup, escape
from pygments import lex
from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Keyword, Literal, Name, Number, Operator
from pygments.util import ClassNotFound

KINDS = (
    (Comment, "comment"),
    (Number, "constant"),
    (Keyword.Constant, "constant"),
    (Literal, "text"),
    (Keyword, "keyword"),
    (Operator.Word, "keyword"),
    (Name.Class, "name"),
    (Name.Function, "name"),
    (Name.Decorator, "name"),
    (Name.Tag, "name"),
)


def code(text, language):
    """HTML of a block of code, each word as it is.

    Parameters
    ----------
    text : str
    language : str
        As pygments calls it; any other is plain.

    Returns
    -------
    Markup
    """
    try:
        lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        lexer = get_lexer_by_name("text", stripnl=False, ensurenl=False)
    words = Markup("").join(_word(kind, word) for kind, word in lex(text, lexer))
    return Markup('<pre tabindex="0"><code>{}</code></pre>').format(words)


def _word(kind, text):
    for parent, name in KINDS:
        if kind in parent:
            return Markup('<span class="{}">{}</span>').format(name, text)
    return escape(text)
