"""What the site's search looks through: the parts of all pages, under their headings."""

from html.parser import HTMLParser

# Characters of a part: its beginning says what it is about.
LONGEST = 600
LEFT_OUT = {"script", "style", "pre", "math", "table", "nav", "header", "footer", "svg"}
HEADINGS = {"h1", "h2", "h3"}


class Parts(HTMLParser):
    """The parts of a page: dicts with ``title``, ``page``, ``address`` and ``text``.

    A part begins at a heading that a link can lead to; the page's own is the first.

    Parameters
    ----------
    path : str
        Of the page.
    html : str
    """

    def __init__(self, path, html):
        super().__init__()
        self.path, self.found = path, []
        self._outside, self._heading = [], False
        self.feed(html)
        for part in self.found:
            part["title"] = " ".join(part["title"].split())
            part["text"] = " ".join(part["text"].split())[:LONGEST]
            part["page"] = self.found[0]["title"]

    def handle_starttag(self, tag, attributes):
        if tag in LEFT_OUT:
            self._outside.append(tag)
        anchor = dict(attributes).get("id")
        if tag == "h1" or (tag in HEADINGS and anchor):
            address = self.path if tag == "h1" else f"{self.path}#{anchor}"
            self.found.append({"title": "", "address": address, "text": ""})
            self._heading = True

    def handle_endtag(self, tag):
        if tag in HEADINGS:
            self._heading = False
        if self._outside and tag == self._outside[-1]:
            self._outside.pop()

    def handle_data(self, data):
        if self.found and not self._outside:
            self.found[-1]["title" if self._heading else "text"] += f"{data} "


def parts_of(pages):
    """The parts of `pages`, a dict from a path to its HTML."""
    return [part for path, html in pages.items() for part in Parts(path, html).found]
