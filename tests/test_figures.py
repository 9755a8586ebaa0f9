"""Figures: they show what was measured, can be read, and are the same each time."""

import json
import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import synthetic_results as synthetic
from click.testing import CliRunner
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from benchmark_bilevel.__main__ import main
from benchmark_bilevel.report import figures, labels, look, styles
from benchmark_bilevel.report.curves import curves
from benchmark_bilevel.report.drawing import (
    DASHES,
    draw_curves,
    draw_sensitivity,
    draw_strips,
)
from benchmark_bilevel.report.metrics import METRICS, metric_on
from benchmark_bilevel.report.panels import (
    all_panels,
    curve_panel,
    end_panels,
    main_metric,
    target_panels,
    variant_panels,
)
from benchmark_bilevel.report.plots import SensitivityPlot
from benchmark_bilevel.report.results import prepare
from benchmark_bilevel.report.site.viewer import STATIC, curves_of
from benchmark_bilevel.report.tables import sensitivity

PROBLEM = "ijcnn1, hyperparameter-selection"
POISONING = {"dataset": "mnist", "problem": "data-poisoning", "has_reference": False}


@pytest.fixture(scope="module")
def runs():
    """SOBA and SABA, and AmIGO of which one of five runs diverges."""
    cells = [
        synthetic.cell(solver, rate, k, diverged=(solver, k) == ("AmIGO", 1))
        for solver, rate in (("SOBA", 0.1), ("SABA", 1.0), ("AmIGO", 0.01))
        for k in range(5)
    ]
    return prepare(pd.concat(cells, ignore_index=True))


def drawn(found, metric="suboptimality", **options):
    """Axes with the curves `found`."""
    ax = Figure().subplots()
    draw_curves(ax, found, METRICS[metric], "solver time [s]", **options)
    return ax


def lines_of(ax, solver):
    color = styles.style(solver).color
    return [line for line in ax.lines if to_rgb(line.get_color()) == color]


def test_markers_are_on_measurements_and_the_start_is_at_the_edge(runs):
    found = curves(runs, PROBLEM, "suboptimality", "seconds")
    ax = drawn(found)
    left, right = ax.get_xlim()
    for curve in found:
        unknown, line = lines_of(ax, curve.solver)[:2]
        x, y = line.get_data()
        assert line.get_markevery() == list(range(len(x)))
        np.testing.assert_array_equal(x, np.maximum(curve.x[1:], left))
        np.testing.assert_array_equal(y, curve.y[1:])
        x, y = unknown.get_data()
        assert x[0] == left and y[0] == curve.y[0]
        assert line.get_drawstyle() == "default"
    assert right >= max(curve.x[-1] for curve in found)
    top = ax.get_ylim()[1]
    for curve, band in zip(found, ax.collections, strict=True):
        heights = band.get_paths()[0].vertices[:, 1]
        assert heights.min() == curve.low[1:].min()
        assert heights.max() == min(curve.high[1:].max(), top)


def test_a_curve_is_dotted_from_its_start_to_the_first_measurement(runs):
    """On a logarithmic axis, which has no place for the start."""
    curve = curves(runs, PROBLEM, "suboptimality", "seconds")[0]
    curve = curve._replace(x=np.append(0.0, curve.x[-3:]), y=np.arange(4.0) + 1.0)
    curve = curve._replace(low=curve.y, high=curve.y)
    unknown, line = lines_of(drawn([curve]), curve.solver)[:2]
    x, y = unknown.get_data()
    assert unknown.get_linestyle() == ":" and x[0] < x[1] == x[2] == curve.x[1]
    assert list(y) == [1.0, 1.0, 2.0]
    np.testing.assert_array_equal(line.get_xdata(), curve.x[1:])
    np.testing.assert_array_equal(line.get_ydata(), curve.y[1:])
    unknown, straight = lines_of(drawn([curve], linear=True), curve.solver)[:2]
    assert not len(unknown.get_xdata())
    np.testing.assert_array_equal(straight.get_xdata(), curve.x)


def test_the_best_parameters_have_the_colour_of_the_solver():
    """Whatever the order of the file; dots are kept for what is unknown."""
    cells = [
        synthetic.cell("SOBA", rate, k) for rate in (0.1, 0.01, 0.5) for k in range(3)
    ]
    runs = prepare(pd.concat(cells, ignore_index=True))
    found = curves(runs, PROBLEM, "suboptimality", "seconds")
    assert {curve.label: curve.rank for curve in found} == {
        "SOBA step_size=0.5": (0, 3),
        "SOBA step_size=0.1": (1, 3),
        "SOBA step_size=0.01": (2, 3),
    }
    [line] = [one for one in lines_of(drawn(found), "SOBA") if len(one.get_xdata()) > 3]
    assert line.get_linestyle() == "-"
    assert "dot" not in styles.DASHES
    chart = (STATIC / "chart.js").read_text()
    for dash in styles.DASHES:
        assert dash in DASHES and f"{dash}:" in chart


def test_solvers_of_one_colour_differ_by_their_dashes():
    assert styles.style("BSGM").color == styles.style("MA-SOBA").color
    runs = prepare(synthetic.cells(("BSGM", "MA-SOBA", "SOBA")))
    ax = drawn(curves(runs, PROBLEM, "suboptimality", "seconds"))
    first, second = (
        line
        for line in lines_of(ax, "BSGM")
        if line.get_marker()
        in (styles.style("BSGM").symbol, styles.style("MA-SOBA").symbol)
        and len(line.get_xdata()) > 3
    )
    assert first.get_linestyle() == "-" and second.get_linestyle() == "--"


@look.in_look
def test_svg_files_are_shortened_and_their_texts_are_not(tmp_path):
    figure = Figure()
    figure.subplots().plot(np.geomspace(1, 9, 5), "o-")
    figure.suptitle('M 0.12345 L <g style="a" style="a"')
    path = tmp_path / "a.svg"
    look.save(figure, path)
    found = ElementTree.parse(path)
    tags = {tag: [] for tag in ("text", "path", "use")}
    for element in found.iter():
        tags.get(element.tag.rpartition("}")[2], []).append(element)
    assert 'M 0.12345 L <g style="a" style="a"' in [each.text for each in tags["text"]]
    numbers = " ".join(each.get("d") for each in tags["path"])
    assert len(re.findall(r"\d\.\d\d?\b", numbers)) > 5
    assert not re.search(r"\d\.\d{3}|\d\d\.\d\d", numbers)
    assert len(tags["use"]) > 5 and all(use.get("style") is None for use in tags["use"])
    rules = "".join(each.text for each in found.iter() if each.tag.endswith("style"))
    used = {each.get("class") for each in found.iter()} - {None}
    assert used and used == set(re.findall(r"\.(s\d+) ", rules))
    named = {f"#{each.get('id')}" for each in found.iter() if each.get("id")}
    assert {use.get("href") for use in tags["use"]} <= named


def test_the_picture_begins_where_something_happens(runs):
    """At half of the cost at which the first median has gone a tenth of its way."""
    found = curves(runs, PROBLEM, "suboptimality", "seconds")
    moved = [
        curve.x[curve.y < curve.y[0] - 0.1 * (curve.y[0] - curve.y.min())][0]
        for curve in found
    ]
    left = drawn(found).get_xlim()[0]
    np.testing.assert_allclose(left, min(moved) / 2)
    assert drawn(found, linear=True).get_xlim()[0] == 0


def test_divergence_is_a_cross_at_the_edge_and_moves_no_limit(runs):
    found = curves(runs, PROBLEM, "suboptimality", "seconds")
    ax = drawn(found)
    cross = lines_of(ax, "AmIGO")[-1]
    [stop] = (
        runs[(runs["solver"] == "AmIGO") & (runs["end"] == "diverged")]
        .groupby("idx_rep")["time"]
        .max()
    )
    assert cross.get_marker() == "X" and list(cross.get_ydata()) == [1.0]
    np.testing.assert_array_equal(cross.get_xdata(), [max(stop, ax.get_xlim()[0])])
    medians = np.concatenate([curve.y for curve in found])
    low, high = ax.get_ylim()
    assert low < medians.min() and medians.max() < high < 3 * medians.max()
    wide = [curve._replace(high=1e6 * curve.high) for curve in found]
    assert drawn(wide).get_ylim() == (low, high), "bands move no limit"


@pytest.mark.parametrize("name", METRICS)
def test_every_axis_says_which_way_is_better(runs, name):
    found = curves(runs, PROBLEM, name, "seconds")
    label = drawn(found, name).get_ylabel()
    arrow = "↑" if name == "test_accuracy" else "↓"
    assert label.endswith(f"{arrow} better")


def test_an_attack_s_aims_are_the_reverse():
    runs = prepare(synthetic.cells(("SOBA",), n_repetitions=1, **POISONING))
    arrows = {
        name: metric_on(runs, "mnist, data-poisoning", name).better
        for name in ("value", "test_accuracy", "test_loss", "retrained_test_accuracy")
    }
    assert arrows == {
        "value": "↓",
        "test_accuracy": "↓",
        "test_loss": "↑",
        "retrained_test_accuracy": "↓",
    }


def test_ends_are_strips_where_there_are_no_curves():
    """All runs' ends, the best on top, and the start."""
    runs = synthetic.cells(("SOBA", "SABA"), **POISONING)
    last = runs["stop_val"] == runs["stop_val"].max()
    first = runs["stop_val"] == 0
    runs["objective_value"] = runs["objective_value"].where(last | first)
    runs = prepare(runs)
    problem = "mnist, data-poisoning"
    value, retrained = end_panels(runs, problem)
    assert retrained.title == "retrained: test accuracy"
    ax = Figure().subplots()
    assert value.draw(ax) == []
    assert [text.get_text() for text in ax.get_yticklabels()] == ["SABA", "SOBA"]
    dots = ax.lines[0]
    ends = runs[last & (runs["solver"] == "SABA")]["objective_value"]
    np.testing.assert_array_equal(sorted(dots.get_xdata()), sorted(ends))
    start = runs["objective_value"][first].median()
    assert start in [line.get_xdata()[0] for line in ax.lines]
    names = [panel.name for panel in all_panels(runs)]
    assert "mnist-data-poisoning-end-value" in names
    assert not any("value-seconds" in name for name in names)


@pytest.mark.parametrize(
    ("few", "metric"),
    [((), "value"), (("SOBA", "BSGM"), "value"), (("SOBA", "SABA", "BSGM"), None)],
)
def test_curves_of_less_than_half_of_the_solvers_do_not_stand_for_all(few, metric):
    """Those of whose runs h is known at too few points might be the best."""
    solvers = ["SOBA", "SABA", "BSGM", "MRBO"]
    runs = synthetic.cells(solvers, n_repetitions=2, has_reference=False)
    end = runs["stop_val"].isin((0, runs["stop_val"].max()))
    sparse = runs["solver_name"].str.partition("[")[0].isin(few) & ~end
    runs["objective_value"] = runs["objective_value"].mask(sparse)
    runs = prepare(runs)
    assert main_metric(runs, PROBLEM) == metric
    ends = [panel.name for panel in end_panels(runs, PROBLEM)]
    assert ends == ([] if metric else ["end value"])
    groups = dict.fromkeys(solvers, "Others")
    content = curves_of(runs, PROBLEM, runs["variant"].unique(), groups)
    first, *_ = json.loads(content)["metrics"]
    assert first == (metric or "hypergradient_norm"), "of most curves"


def test_a_value_of_zero_takes_no_logarithmic_axis_away():
    runs = synthetic.cells(("SOBA", "SABA"))
    at_end = runs["stop_val"] == runs["stop_val"].max()
    runs.loc[at_end, "objective_inner_distance"] = 0.0
    ax = Figure().subplots()
    curve_panel(prepare(runs), PROBLEM, "inner_distance", "seconds").draw(ax)
    assert ax.get_yscale() == "log" and ax.get_ylim()[0] > 0


@pytest.mark.parametrize(("lowest", "scale"), [(0.0, "log"), (0.3, "linear")])
def test_the_axis_of_h_is_logarithmic_where_it_falls_to_nothing(lowest, scale):
    runs = synthetic.cells(("SOBA", "SABA"), has_reference=False)
    runs["objective_value"] += lowest - 0.3
    runs = prepare(runs)
    ax = Figure().subplots()
    curve_panel(runs, PROBLEM, "value", "seconds").draw(ax)
    assert ax.get_yscale() == scale
    content = curves_of(
        runs, PROBLEM, runs["variant"].unique(), {"SOBA": "", "SABA": ""}
    )
    assert json.loads(content)["metrics"]["value"]["log"] == (scale == "log")


def test_ten_solvers_have_colours_and_names_and_forty_can_be_drawn():
    solvers = [f"S{k}" for k in range(40)]
    runs = prepare(synthetic.cells(solvers, n_repetitions=2))
    panel = curve_panel(runs, PROBLEM, "suboptimality", "seconds")
    figure = figures.compose([panel])
    [ax] = figure.axes
    names = [text.get_text() for text in ax.texts]
    last = runs.groupby(["solver", "idx_rep"])["objective_suboptimality"].last()
    best = last.groupby("solver").median().nsmallest(10).index
    assert sorted(names) == sorted(best)
    grey = [line for line in ax.lines if line.get_color() == "#b8bec5"]
    assert len(grey) == 30
    panel = curve_panel(runs, PROBLEM, "suboptimality", "seconds", solver="S3")
    ax = Figure().subplots()
    assert [name.text for name in panel.draw(ax)] == ["S3"]


def test_a_solver_that_barely_moves_is_seen_beside_the_best():
    """Its own picture has the others in, and numbers that stand for themselves."""
    runs = synthetic.cells([f"S{k}" for k in range(14)], has_reference=False)
    start = runs["stop_val"] == 0
    runs["objective_value"] = np.where(start, 0.5112, runs["objective_value"])
    own = runs["solver_name"].str.startswith("S3")
    runs.loc[own, "objective_value"] = 0.5112 + 1e-6 * np.sin(runs["stop_val"])
    panel = curve_panel(prepare(runs), PROBLEM, "value", "seconds", solver="S3")
    ax = Figure().subplots()
    panel.draw(ax)
    low, high = ax.get_ylim()
    heights = np.concatenate([line.get_ydata() for line in ax.lines])
    assert len(ax.lines) > 5 and low < heights.min() and heights.max() < high
    ax.figure.draw_without_rendering()
    assert ax.yaxis.get_offset_text().get_text() == ""


def test_strips_are_of_runs_that_spent_their_budget():
    runs = synthetic.cells(("SOBA",), **POISONING)
    last = runs["stop_val"] == runs["stop_val"].max()
    runs["objective_value"] = runs["objective_value"].where(last)
    lost = runs["idx_rep"] == 2
    runs.loc[last & lost, "objective_diverged"] = 1.0
    runs, ax = prepare(runs), Figure().subplots()
    end_panels(runs, "mnist, data-poisoning")[0].draw(ax)
    kept = runs["objective_value"][last & ~lost]
    assert sorted(ax.lines[0].get_xdata()) == sorted(kept)


def test_the_solvers_with_the_largest_shares_are_in_colour():
    runs = prepare(synthetic.cells([f"S{k}" for k in range(12)], n_repetitions=2))
    [(_, _, draw)] = target_panels(runs, "seconds")
    names = {name.text for name in draw(Figure().subplots())}
    assert names == {f"S{k}" for k in range(2, 12)}, "in the order of their rates"


def test_long_parameters_are_places_in_the_table():
    runs = synthetic.cells(("SOBA",), (0.1, 0.5), 3)
    runs["p_solver_linear_step"] = 2 * runs["p_solver_step_size"]
    [panel] = variant_panels(prepare(runs), PROBLEM)
    assert {name.text for name in panel.draw(Figure().subplots())} == {"no. 1", "no. 2"}


def test_steps_at_which_all_runs_diverged_are_crosses_alone():
    lost = [synthetic.cell("SOBA", 1.0, k, diverged=True) for k in range(3)]
    runs = [synthetic.cells(("SOBA",), (0.01, 0.1), 3), *lost]
    runs, ax = prepare(pd.concat(runs, ignore_index=True)), Figure().subplots()
    draw_sensitivity(ax, sensitivity(runs, PROBLEM))
    line, cross = lines_of(ax, "SOBA")
    assert list(line.get_xdata()) == [0.01, 0.1]
    assert cross.get_marker() == "X" and list(cross.get_xdata()) == [1.0]
    [trace] = SensitivityPlot.plot(None, runs, PROBLEM)
    assert (trace["x"], trace["crosses"]) == ([0.01, 0.1], [1.0])
    assert len(trace["y"]) == len(trace["y_low"]) == len(trace["y_high"]) == 2


def test_strips_have_ten_rows_and_that_of_the_solver():
    solvers = [f"S{k}" for k in range(14)]
    runs = synthetic.cells(solvers, n_repetitions=1, **POISONING)
    last = runs["stop_val"] == runs["stop_val"].max()
    runs["objective_value"] = runs["objective_value"].where(last)
    runs = prepare(runs)
    for solver, n_rows in ((None, 10), ("S0", 11), ("S13", 10)):
        ax = Figure().subplots()
        end_panels(runs, "mnist, data-poisoning", solver)[0].draw(ax)
        names = [text.get_text() for text in ax.get_yticklabels()]
        assert len(names) == n_rows and (solver in names or solver is None)


def test_names_do_not_overlap():
    """Boxes stay in order and as near as can be; too many of them grow outwards."""
    ends = np.array([0.2, 0.21, 0.22, 0.9, 1.0])
    heights = np.full(5, 0.1)
    places = labels.spread(ends, heights)
    assert (np.diff(places) >= 0.1 - 1e-12).all()
    np.testing.assert_allclose(places, [0.11, 0.21, 0.31, 0.85, 0.95])
    crowded = labels.spread(np.zeros(30), np.full(30, 0.1))
    assert (np.diff(crowded) > 0.09).all()
    np.testing.assert_allclose(crowded.mean(), 0.5)


def test_contrast_is_that_of_the_guidelines():
    for color, expected in (
        ((1, 0, 0), 3.998),
        ((0.5,) * 3, 3.977),
        ((0, 0, 0), 21),
        ((1, 1, 1), 1),
    ):
        np.testing.assert_allclose(labels.contrast(color), expected, rtol=1e-3)


@pytest.mark.parametrize("name", [*styles.SOLVERS, "Mine"])
def test_marks_and_names_stand_out_from_white(name):
    for rank in range(4):
        color = styles.style(name, rank, 4).color
        assert labels.contrast(color) >= 3, "marks"
        assert labels.contrast(labels.legible(color)) >= 4.5, "text"


def number_in(text):
    """Such as 2e-5 of ``"2×10⁻⁵"``."""
    factor, _, power = (
        text.rpartition("10") if text[-1] in "⁰¹²³⁴⁵⁶⁷⁸⁹" else (text, "", "")
    )
    exponent = power.translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-"))
    return float(factor.rstrip("×") or 1) * 10.0 ** int(exponent or 0)


@pytest.mark.parametrize(
    ("low", "high"),
    [
        *((20.1, 23.6), (2e-5, 3e-5), (0.3, 4), (4e3, 6e4), (4e3, 6e5)),
        *((1e-3, 30), (1e-14, 1), (1e5, 2e9)),
    ],
)
def test_logarithmic_axes_have_some_numbers_and_not_too_many(low, high):
    ax = Figure().subplots()
    look.set_log(ax, "x", low, high)
    ticks = [tick for tick in ax.get_xticks() if low <= tick <= high]
    texts = [ax.xaxis.get_major_formatter()(tick) for tick in ticks]
    np.testing.assert_allclose([number_in(text) for text in texts], ticks, rtol=5e-3)
    assert 2 <= len(texts) <= 8 and len(set(texts)) == len(texts)
    if high / low > 5:
        assert sum(map(len, texts)) <= 30, "as wide as a small picture"
    assert not ax.xaxis.get_minorticklocs().size


def test_linear_axes_have_numbers_without_an_offset():
    ax = Figure().subplots()
    look.set_linear(ax, "y", 0.5112165, 0.5112247)
    ax.figure.draw_without_rendering()
    values = [float(text.get_text()) for text in ax.get_yticklabels()]
    np.testing.assert_allclose(values, ax.get_yticks(), atol=1e-9)


def test_dots_of_a_strip_without_runs():
    """A solver of which every run diverged keeps its row."""
    ax = Figure().subplots()
    draw_strips(ax, [("SOBA", "SOBA", np.ones(2)), ("SABA", "SABA (…)", ())], "h(x)")
    assert [text.get_text() for text in ax.get_yticklabels()] == ["SOBA", "SABA (…)"]


def test_figures_are_vectors_and_the_same_each_time(tmp_path, monkeypatch):
    runs = prepare(synthetic.cells(("SOBA", "SABA"), (0.1, 1.0), 3))
    names = {panel.name for panel in all_panels(runs)}
    name = "ijcnn1-hyperparameter-selection-suboptimality-oracle-calls"
    assert {
        name,
        "ijcnn1-hyperparameter-selection-step-size",
        "ijcnn1-hyperparameter-selection-variants-soba",
        "profile-1e-01-seconds",
        "targets-reached-seconds",
    } < names
    contents = []
    for k in range(2):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", str(k))  # matplotlib's clock
        paths = figures.save_figures(
            runs, tmp_path / str(k), formats=("pdf", "svg"), only=[name]
        )
        contents.append([path.read_bytes() for path in paths])
    assert contents[0] == contents[1] and len(contents[0]) == 2
    assert b"/Subtype /Image" not in contents[0][0], "vectors only"
    assert b"<image" not in contents[0][1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--format", "xyz"], "no format 'xyz'; known are"),
        (["--only", "nothing*"], "no figure is called nothing*; there are"),
        (["--only", "a", "--only", "b"], "no figure is called a or b"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_a_line(runs, tmp_path, options, said):
    path = synthetic.write(
        runs.drop(columns=["file", "title", "variant"]), tmp_path / "a.parquet"
    )
    result = CliRunner().invoke(main, ["figures", str(tmp_path), str(path), *options])
    assert result.exit_code == 2 and said in result.output
    below = ["figures", str(path / "folder"), str(path)]
    result = CliRunner().invoke(main, below)
    assert result.exit_code == 1 and "cannot be written: Not a dir" in result.output


def test_publication_options(runs, tmp_path):
    """Panels beside each other, a shared legend, a width, a paper's fonts."""
    arguments = ["figures", "--format", "svg", "--only", "*suboptimality*"]
    path = synthetic.write(
        runs.drop(columns=["file", "title", "variant"]), tmp_path / "a.parquet"
    )
    options = ["--layout", "1x2", "--legend", "below", "--width", "6.75"]
    result = CliRunner().invoke(
        main, [*arguments, *options, "--font", "serif", str(tmp_path), str(path)]
    )
    assert result.exit_code == 0, result.output
    text = (tmp_path / "panels-1.svg").read_text()
    assert 'width="486pt"' in text and "STIXGeneral" in text
    assert text.count(">SABA<") == 1 and text.count("Hyper-parameter selection") == 2
    result = CliRunner().invoke(main, [*arguments, "--layout", "3", "x", str(path)])
    assert result.exit_code == 2 and "such as 1x3" in result.output


def test_no_legend_and_names_at_the_ends(runs):
    panel = curve_panel(runs, PROBLEM, "suboptimality", "seconds")
    [ax] = figures.compose([panel], legend="ends").axes
    by_height = sorted(ax.texts, key=lambda text: text.xyann[1])
    texts = [text.get_text() for text in by_height]
    assert texts == ["SABA", "SOBA", "AmIGO\n(1 of 5 diverged)"], "as their curves end"
    other = curve_panel(runs, PROBLEM, "test_accuracy", "seconds")
    [ax] = figures.compose([other]).axes
    by_height = sorted(ax.texts, key=lambda text: text.xyann[1])
    assert [text.get_text() for text in by_height] == texts[::-1], "the best on top"
    panels = figures.compose([panel] * 4, (2, 2)).axes
    first, right, below, _ = (one.get_position() for one in panels)
    assert first.x1 < right.x0 and first.y0 == right.y0 and below.y1 < first.y0
    figure = figures.compose([panel], legend="none")
    assert not figure.legends and not figure.axes[0].texts
    below = figures.compose([panel], legend="below")
    assert len(below.legends[0].get_texts()) == 3
    width, height = below.get_size_inches()
    assert width == look.COLUMN and height > figure.get_size_inches()[1]
