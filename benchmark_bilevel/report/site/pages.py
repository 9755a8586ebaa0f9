"""The pages of a site: rendered together, so that a search knows all of them."""

import re

import click

from benchmark_bilevel.report.site.records import site_map
from benchmark_bilevel.report.site.scripts import as_script_text
from benchmark_bilevel.report.site.searching import parts_of

HEADING = re.compile(r'(<h([23])\b[^>]*\bid="([^"]+)"[^>]*>.*?)(</h\2>)', re.DOTALL)


class Pages:
    """Pages made from templates.

    Parameters
    ----------
    templates : jinja2.Environment
    shared : dict
        What all templates are given.
    """

    def __init__(self, templates, shared):
        self.templates, self.shared = templates, shared
        self.html = {}

    def add(self, path, template, **content):
        """Render the page at `path`; links lead to its headings."""
        if path in self.html:
            raise click.ClickException(
                f"two pages would be {path}: give the text in docs/ another name."
            )
        render = self.templates.get_template(template).render
        html = render(address=path, **self.shared, **content)
        self.html[path] = HEADING.sub(_with_link, html)

    def add_all(self, template, contents):
        """A page for each of `contents`, which the template calls ``page``."""
        for page in contents:
            self.add(page.path, template, page=page)

    def write(self, folder, results_json, site_url):
        """Write all pages, and what searches, feeds and machines read beside them."""
        for path, html in self.html.items():
            (folder / path).write_text(html, encoding="utf-8")
        texts = as_script_text(parts_of(self.html))
        feed = self.templates.get_template("feed.xml").render(self.shared)
        others = {
            "data/texts.js": f"window.searchTexts = {texts};\n",
            "results.json": results_json,
            "feed.xml": feed,
        }
        if site_url:
            others["sitemap.xml"] = site_map(site_url, self.html)
        for path, text in others.items():
            (folder / path).write_text(text, encoding="utf-8")


def _with_link(heading):
    start, _, anchor, end = heading.groups()
    return (
        f'{start} <a class="anchor" href="#{anchor}" aria-label="Link to this part"></a>'
        f"{end}"
    )
