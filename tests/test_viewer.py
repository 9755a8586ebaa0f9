"""Interactive curves: their numbers are those of the file, and they do what is asked."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import synthetic_results as synthetic
from benchopt.results import read_results
from test_site import browser, open_page, wait, written  # noqa: F401

from benchmark_bilevel.report.groups import ANEW, WARM
from benchmark_bilevel.report.metrics import METRICS
from benchmark_bilevel.report.reading import read
from benchmark_bilevel.report.results import problems
from benchmark_bilevel.report.site.scripts import Pool, digits_of
from benchmark_bilevel.report.site.viewer import curves_of

PAGE = "problem-hyperparameter-selection.html"
CASE = "case-ijcnn1-hyperparameter-selection"
COSTS = {
    "seconds": "time",
    "oracle calls": "objective_oracle_calls",
    "iterations": "objective_iterations",
}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Twelve solvers, more than are shown at first; one of them diverged."""
    names = [*synthetic.SOLVERS, "ALSET", "BSA", "TTSA", "FSLA", "SUSTAIN"]
    runs = [
        synthetic.cells(names, n_repetitions=3),
        *(synthetic.cell("VRBO", 0.1, k, diverged=True) for k in range(3)),
    ]
    path = tmp_path_factory.mktemp("results") / "a.parquet"
    return synthetic.write(pd.concat(runs, ignore_index=True), path)


@pytest.fixture(scope="module")
def site(file, tmp_path_factory):
    return written([file], tmp_path_factory.mktemp("site"))


def content_of(site):
    [path] = (site / "data").glob("curves-*.js")
    text = path.read_text()
    case, content = re.fullmatch(
        r'\(window\.curves \?\?= \{\}\)\["(.+)"\] = (.+);\n', text
    ).groups()
    assert case == CASE
    return json.loads(content)


# --- numbers ----------------------------------------------------------------------------


def test_the_numbers_are_those_of_the_file(site, file):
    """Computed here again: medians over the repetitions at each iteration."""
    content = content_of(site)
    runs = read_results(file)
    runs["time"] = runs["time"].where(runs["objective_iterations"] > 0, 0.0)
    of_solver = dict(list(runs.groupby(runs["solver_name"].str.split("[").str[0])))
    lists = content["lists"]
    assert set(content["metrics"]) == set(METRICS) - {"value"}
    groups = {c["solver"]: content["groups"][c["group"]] for c in content["curves"]}
    assert (groups["SABA"], groups["stocBiO"]) == (WARM, ANEW)
    assert len(content["curves"]) == len(of_solver) == 12
    for curve in content["curves"]:
        if curve["label"] == "VRBO":
            continue
        groups = of_solver[curve["label"]].groupby("objective_iterations")
        for metric, by_cost in curve["drawn"].items():
            values = groups[f"objective_{metric}"]
            for cost, (x, y, low, high) in zip(content["costs"], by_cost, strict=True):
                expected = groups[COSTS[cost]].median()
                np.testing.assert_allclose(lists[x], expected, rtol=6e-4)
                for k, q in ((low, 0.2), (y, 0.5), (high, 0.8)):
                    np.testing.assert_allclose(lists[k], values.quantile(q), rtol=6e-3)
                assert (np.diff([lists[low], lists[y], lists[high]], axis=0) >= 0).all()


@pytest.mark.parametrize(
    ("values", "log", "digits"),
    [
        (np.linspace(0.5103, 0.5112, 76), False, 7),
        (np.linspace(-0.5112, -0.5103, 76), False, 7),
        (np.linspace(0, 1, 76), False, 4),
        (np.geomspace(1e-10, 1, 76), True, 3),
        (np.geomspace(0.5103, 0.5112, 76), True, 7),
        (np.array([0.3, 0.3]), False, 4),
        (np.array([0.3, np.inf, np.nan, 0.3]), False, 4),
        (np.array([0.0, -1.0]), True, 4),
        (np.array([]), False, 4),
    ],
)
def test_numbers_have_the_digits_that_their_axis_shows(values, log, digits):
    assert digits_of(values, log) == digits
    pool = Pool()
    assert pool.index(values, digits) == 0
    [written] = json.loads(pool.text)
    on_axis = np.log if log else np.asarray
    values, written = np.array([values, written], float)
    if len(set(values)) == 76:
        error = abs(on_axis(written) - on_axis(values)).max()
        assert error < 3e-3 * np.ptp(on_axis(values))


def test_divergence_is_where_it_was(site, file):
    content = content_of(site)
    *_, curve = content["curves"]
    assert (curve["label"], curve["note"]) == ("VRBO", "3 of 3 diverged")
    runs = read_results(file)
    runs = runs[runs["objective_diverged"] > 0]
    for cost, k in zip(content["costs"], curve["crosses"], strict=True):
        crosses, column = content["lists"][k], COSTS[cost]
        np.testing.assert_allclose(crosses, np.sort(runs[column]), rtol=6e-4)


def test_forty_solvers_are_no_more_than_a_browser_takes(tmp_path):
    """With more points than any published run has, and no test set, as on IJCNN1."""
    names = [f"solver {k}" for k in range(40)]
    runs = synthetic.cells(names, n_repetitions=2, n_points=70)
    runs["objective_test_loss"] = runs["objective_test_accuracy"] = np.nan
    results = read([synthetic.write(runs, tmp_path / "a.parquet")])
    [problem] = problems(results)
    groups = dict.fromkeys(names, "Others")
    content = curves_of(results, problem, results["variant"].unique(), groups)
    assert len(json.loads(content)["curves"]) == 40
    assert len(content) < 300_000


# --- in a browser -----------------------------------------------------------------------


def open_viewer(site, browser):  # noqa: F811
    """Anew: an address that differs behind the # only would leave the page as it is."""
    browser.get("about:blank")
    return open_page(browser, f"{(site / PAGE).as_uri()}#{CASE}")


def shown(browser):  # noqa: F811
    """What the viewer shows, when it is there: its texts, choices and drawing."""
    wait(
        lambda: browser.execute_script("return !!document.querySelector('.viewer svg')")
    )
    return browser.execute_script(
        """const part = (name) => document.querySelector(`.viewer ${name}`);
        const [metric, cost] = document.querySelectorAll(".viewer select");
        const texts = [...document.querySelectorAll(".viewer-chart text")];
        return {
          metric: metric.value,
          cost: cost.value,
          checked: [...document.querySelectorAll(".viewer-controls input")]
            .map((i) => i.checked),
          solvers: [...document.querySelectorAll(".viewer-solvers input:checked")]
            .map((i) => i.value),
          lines: document.querySelectorAll(".viewer-chart path[fill=none]:not(.unknown)")
            .length,
          unknown: document.querySelectorAll(".viewer-chart path.unknown").length,
          texts: texts.map((text) => text.textContent),
          tip: part(".viewer-tip").hidden ? "" : part(".viewer-tip").textContent,
          readout: part(".viewer-readout").textContent,
          hash: location.hash,
          link: part(".viewer-controls a").href.split("#")[1],
        };"""
    )


def console(browser):  # noqa: F811
    return [entry["message"] for entry in browser.get_log("browser")]


def press(browser, *keys):  # noqa: F811
    from selenium.webdriver import ActionChains, Keys

    actions = ActionChains(browser)
    for key in keys:
        actions.send_keys(getattr(Keys, key, key))
    actions.perform()


def focus(browser, selector):  # noqa: F811
    browser.execute_script("document.querySelector(arguments[0]).focus()", selector)


def test_crosses_are_in_the_picture(site, browser):  # noqa: F811
    """Also those that come after the end of all curves that are shown."""
    open_viewer(site, browser)
    shown(browser)
    for selector, key in (
        (".viewer-solvers button:nth-of-type(3)", "ENTER"),  # none
        (".viewer-solvers input[value=VRBO]", "SPACE"),
    ):
        focus(browser, selector)
        press(browser, key)
    places = browser.execute_script(
        """const box = (name) => document.querySelector(name).getBoundingClientRect();
        const places = [...document.querySelectorAll(".viewer-chart .cross")]
          .map((cross) => cross.getBoundingClientRect())
          .map(({left, right}) => (left + right) / 2);
        return [places, box(".viewer-chart svg rect[fill=none]").right];"""
    )
    crosses, edge = places
    assert len(crosses) == 3 and max(crosses) <= edge + 1


def test_the_best_curves_are_shown_at_first(site, browser):  # noqa: F811
    messages, _, failed = open_viewer(site, browser)
    state = shown(browser)
    assert not messages and not failed and not console(browser)
    assert (state["metric"], state["cost"]) == ("suboptimality", "seconds")
    labels = [curve["label"] for curve in content_of(site)["curves"]]
    assert sorted(state["solvers"]) == sorted(labels[:10])
    assert state["lines"] == state["unknown"] == 10, "a curve, and the way to its first"
    assert "solver time [s]" in state["texts"]
    assert "suboptimality h(x) − h*   ↓ better" in state["texts"]
    assert sum(text.startswith("10") for text in state["texts"]) >= 4, "powers on axes"


def test_numbers_on_an_axis_differ(site, browser):  # noqa: F811
    """Where values differ in the fourth digit only, too."""
    open_viewer(site, browser)
    shown(browser)
    texts = browser.execute_script(
        """const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
        document.querySelector(".viewer").append(svg);
        svg.style = "display: block; width: 400px; height: 300px";
        const curve = {x: [0, 1, 2], y: [0.5112, 0.5107, 0.5103], crosses: []};
        const look = {titles: {}, logX: false, logY: false, bands: false, focus: null};
        chart.draw(svg, [curve], look);
        const ends = [...svg.querySelectorAll("text[text-anchor=end]")];
        svg.remove();
        return ends.map((text) => text.textContent);"""
    )
    assert len(texts) >= 4 and len(set(texts)) == len(texts)


def test_a_link_leads_to_the_view_again(site, browser):  # noqa: F811
    open_viewer(site, browser)
    shown(browser)
    for selector, keys in (
        (".viewer select", ["h"]),  # to the hypergradient
        (".viewer label:nth-of-type(2) select", ["o"]),
        (".viewer label:nth-of-type(3) input", ["SPACE"]),  # linear x
        (".viewer label:nth-of-type(5) input", ["SPACE"]),  # no bands
        (".viewer-solvers button:nth-of-type(3)", ["ENTER"]),  # none
        (".viewer-solvers input[value=VRBO]", ["SPACE"]),
        (".viewer-solvers input[value=SABA]", ["SPACE"]),
    ):
        focus(browser, selector)
        press(browser, *keys)
    chosen = shown(browser)
    assert (chosen["metric"], chosen["cost"]) == ("hypergradient_norm", "oracle calls")
    assert chosen["checked"] == [False, True, False]
    assert set(chosen["solvers"]) == {"SABA", "VRBO"} and chosen["lines"] == 2
    assert chosen["hash"] == f"#{chosen['link']}"
    address = browser.current_url
    browser.get("about:blank")
    open_page(browser, address)
    wait(lambda: shown(browser)["metric"] == "hypergradient_norm")
    assert shown(browser) == chosen
    assert not console(browser)
    other = address.replace("metric=hypergradient_norm", "metric=no&x=y")
    browser.execute_script("location.href = arguments[0]", other)
    wait(lambda: shown(browser)["metric"] == "suboptimality")


def test_curves_are_read_by_keyboard_and_pointer(site, browser):  # noqa: F811
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.by import By

    open_viewer(site, browser)
    shown(browser)
    first, second, *_ = (curve["label"] for curve in content_of(site)["curves"])
    focus(browser, ".viewer-chart")
    press(browser, "ARROW_RIGHT")
    start = shown(browser)
    assert start["tip"].startswith(
        f"{first} · 0 s · suboptimality h(x) − h* = 1 (1 to 1)"
    )
    assert (
        start["readout"].startswith(start["tip"]) and "step_size=" in start["readout"]
    )
    press(browser, "END")
    end = shown(browser)["tip"]
    press(browser, "ARROW_LEFT")
    assert shown(browser)["tip"] not in (end, start["tip"])
    press(browser, "HOME")
    assert shown(browser)["tip"] == start["tip"]
    press(browser, "END")
    assert "calls" in end and "iterations" in end and "·10⁻" in end
    press(browser, "ARROW_DOWN")
    assert shown(browser)["tip"].startswith(second)
    press(browser, "ESCAPE")
    assert shown(browser)["tip"] == ""
    chart = browser.find_element(By.CSS_SELECTOR, ".viewer-chart polygon:last-of-type")
    ActionChains(browser).move_to_element(chart).perform()
    assert shown(browser)["tip"]
    assert not console(browser)


def test_on_a_telephone_nothing_sticks_out(site, browser):  # noqa: F811
    size = browser.get_window_size()
    metrics = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        open_viewer(site, browser)
        assert shown(browser)["lines"] == 10
        width = browser.execute_script("return document.documentElement.scrollWidth")
        assert width <= 390
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.set_window_size(size["width"], size["height"])


def test_the_search_leads_to_parts_of_pages(site, browser):  # noqa: F811
    open_page(browser, (site / "index.html").as_uri())
    focus(browser, ".search input")
    press(browser, *"add a sol")
    found = "return document.querySelector('.found').textContent"
    wait(lambda: "Add a solver" in browser.execute_script(found))
    press(browser, "ENTER")
    wait(lambda: "/add-a-solver.html" in browser.current_url)
    assert not console(browser)


def test_tables_sort_by_keyboard(site, browser):  # noqa: F811
    open_page(browser, (site / "index.html").as_uri())
    press(browser, "TAB")
    skip = "return document.activeElement.getAttribute('href')"
    assert browser.execute_script(skip) == "#main"
    heading = "table.sortable th button"
    focus(browser, heading)
    order = "return document.querySelector('table.sortable th').ariaSort"
    for key, expected in (("ENTER", "ascending"), ("SPACE", "descending")):
        press(browser, key)
        assert browser.execute_script(order) == expected
