"""Papers that docstrings name: as a list with links, and as BibTeX."""

import re
import unicodedata
from typing import NamedTuple
from urllib.parse import quote

INITIALS = r"[A-Z]\.(?:-[A-Z]\.)*"
AUTHOR = rf"(?:{INITIALS} )+[\w’-]+"
ARXIV = r"arXiv:\d{4}\.\d{4,5}"
VENUE = rf"(?:{ARXIV}, )?[^\"]{{0,60}}?\b((?:19|20)\d\d)\b(?:, {ARXIV})?"
PAPER = re.compile(rf'({AUTHOR}(?:, {AUTHOR})*), "([^"]+)",? ({VENUE})')
# Where an item of a list of references begins: at the authors, on a line of their own.
ITEM = re.compile(rf"(?<=\.)\n(?={INITIALS} )")
IDENTIFIER = re.compile(r"arXiv:(\d{4}\.\d{4,5})")
JOURNAL = re.compile(r"(JMLR|SIAM J\.(?: \w+\.)+) (?:(\d+), )?")
JOURNALS = {"JMLR": "Journal of Machine Learning Research"}


class Paper(NamedTuple):
    """A paper as a docstring names it."""

    authors: str
    title: str
    venue: str
    year: str

    @property
    def address(self):
        """Where it can be found: at arXiv, or by its title."""
        if identifier := IDENTIFIER.search(self.venue):
            return f"https://arxiv.org/abs/{identifier[1]}"
        words = " ".join(re.findall(r"\w+", self.title))
        return f"https://dblp.org/search?q={quote(words)}"

    @property
    def surname(self):
        """Of the first author."""
        return self.authors.split(", ")[0].split()[-1]

    @property
    def key(self):
        """Such as ``"dagreou2022framework"``."""
        words = re.findall(r"\w+", self.title)
        word = next((word for word in words if len(word) > 3), "".join(words))
        text = unicodedata.normalize("NFKD", f"{self.surname}{self.year}{word}".lower())
        return re.sub(r"[^a-z0-9]", "", text)

    @property
    def bibtex(self):
        """An entry of a bibliography."""
        fields = {
            "author": self.authors.replace(", ", " and "),
            "title": f"{{{self.title}}}",
            "year": self.year,
        }
        kind = "inproceedings"
        if journal := JOURNAL.match(self.venue):
            kind = "article"
            fields["journal"] = JOURNALS.get(journal[1], journal[1])
            fields |= {"volume": journal[2]} if journal[2] else {}
        elif self.venue.startswith("arXiv"):
            kind = "misc"
        else:
            fields["booktitle"] = self.venue.split(" ")[0]
        if identifier := IDENTIFIER.search(self.venue):
            fields |= {"eprint": identifier[1], "archivePrefix": "arXiv"}
        lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
        return "\n".join([f"@{kind}{{{self.key},", *lines, "}"])


def items(text):
    """The items of a docstring's section of references, each on one line."""
    return [" ".join(item.split()) for item in ITEM.split(text.strip())]


def papers(text):
    """Each `Paper` that `text` names with its title, in its order."""
    found = [Paper(*parts) for parts in PAPER.findall(" ".join(text.split()))]
    return list(dict.fromkeys(found))
