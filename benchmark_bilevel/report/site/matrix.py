"""The index's answer: solvers × problems, and the sentences that it allows."""

import json
import math
from itertools import product
from typing import NamedTuple

from markupsafe import Markup

from benchmark_bilevel.report.metrics import AXES
from benchmark_bilevel.report.site.texts import DASH, cost, listed, plain, scientific
from benchmark_bilevel.report.targets import TARGETS
from benchmark_bilevel.search.statistics import Summary, ranks

TARGET = 1e-2  # of the initial gap, at first
SHADES = 5
SHADED = 100.0  # costs up to this many times the lowest have a shade


class Cell(NamedTuple):
    """A solver on a problem, as the matrix shows it."""

    text: str
    small: str
    level: int  # of its shade, up to `SHADES` for the best; 0 is none
    best: bool
    value: float | str  # to sort by; "" is last
    ends: object
    choices: str  # JSON by axis: (text, level, best, value) for each target


def matrix(names, problems, standing):
    """Rows of the matrix, a list of a solver's name and its cells (None: not run).

    Parameters
    ----------
    names : list of str
        Solvers, from the first row down.
    problems : list of str
    standing : dict
        Of `standings`.
    """
    own = {problem: _on(standing, problem) for problem in problems}
    lowest = {problem: _lowest(own[problem]) for problem in problems}
    return [
        (
            name,
            [
                _cell(standing.get((problem, name)), lowest[problem], len(own[problem]))
                for problem in problems
            ],
        )
        for name in names
    ]


def _lowest(own):
    """From (axis, target) to the lowest cost of solvers that never diverged, if any."""
    found = {}
    for key in product(AXES, TARGETS):
        reached = [one for one in own if one.costs and math.isfinite(one.costs[key][0])]
        safe = [one for one in reached if not one.ends.n_diverged] or reached
        found[key] = min((one.costs[key][0] for one in safe), default=math.inf)
    return found


def _on(standing, problem):
    return [found for (name, _), found in standing.items() if name == problem]


def _cell(found, lowest, n_solvers):
    if found is None:
        return None
    if found.gap is None:
        known = math.isfinite(found.value)
        best = known and found.rank == 1 and n_solvers > 1
        level = SHADES if best else 0
        value = found.value if known else ""
        small = f"h, from {plain(found.start)}"
        return Cell(plain(found.value), small, level, best, value, found.ends, "")
    safe = not found.ends.n_diverged and n_solvers > 1  # alone it is the best of none
    choices = {
        axis: [
            _choice(found.costs[axis, target][0], lowest[axis, target], axis, safe)
            for target in TARGETS
        ]
        for axis in AXES
    }
    text, level, best, value = choices["seconds"][TARGETS.index(TARGET)]
    small = f"gap {scientific(found.gap)}" if math.isfinite(found.gap) else ""
    return Cell(text, small, level, best, value, found.ends, json.dumps(choices))


def _choice(value, lowest, axis, safe):
    """(text, level of the shade, whether it is the lowest of the safe, what sorts it)."""
    if not math.isfinite(value):
        return DASH, 0, False, ""
    ratio = value / lowest if lowest > 0 else 1.0
    far = min(1.0, math.log(ratio) / math.log(SHADED)) if ratio > 1 else 0.0
    return (
        cost(value, axis),
        round(SHADES * (1 - far)),
        safe and ratio == 1,
        float(f"{value:.6g}"),
    )


def verdict(problems, standing, link, shown):
    """What the results say, in a few sentences; ties are called so.

    Parameters
    ----------
    problems : list of str
    standing : dict
        Of `standings`.
    link : callable
        From a solver's name to its link, as `Markup`.
    shown : dict
        From a problem to what it is called here.

    Returns
    -------
    list of Markup
    """
    first, end, without, unsafe = {}, {}, {}, []
    for problem in problems:
        own = _on(standing, problem)
        if len(own) < 2:
            continue  # nothing is compared
        if any(found.gap is not None for found in own):
            key = "seconds", TARGET
            bands = {f.solver: (*f.costs[key], f.ends) for f in own if f.costs}
            best = winners(bands)
            # Runs that were cut say nothing about what would have been reached.
            if any(f.ends.n_cut < f.ends.n_runs for f in own):
                first.setdefault(best, []).append(problem)
            # What diverged is among the best where nothing else gets there.
            unsafe += [
                Markup("{} on {} ({})").format(link(name), shown[problem], band[3].text)
                for name, band in bands.items()
                if best and band[3].n_diverged and band[0] <= bands[best[0]][0]
            ]
            place = end
        else:
            place = without
        bands = {f.solver: (f.end, f.low, f.high, f.ends) for f in own if f.rank}
        best = winners(bands)
        if best and place is without:
            low = next(f for f in own if f.solver == best[0])
            way = f" (h from {plain(low.start)} to {plain(low.value)})"
            shown = {**shown, problem: shown[problem] + way}
        place.setdefault(best, []).append(problem)
    sentences = []
    if first:
        goal = f"{100 * TARGET:g} %"
        clauses = _clauses(
            first, link, shown, "is fastest", "tie", f"no median gets to {goal}"
        )
        sentences.append(
            Markup(
                "To {} of the initial gap h − h*, each with the parameters that end "
                "lowest, {}."
            ).format(goal, clauses)
        )
    if unsafe:
        sentences.append(
            Markup("As fast or faster, but not in every run: {}.").format(
                Markup("; ").join(unsafe)
            )
        )
    nothing = "no solver has a result"
    parts = [
        Markup("{}{}").format(
            lead, _clauses(found, link, shown, "ends lowest", "end equal", nothing)
        )
        for found, lead in ((end, ""), (without, "where h* is unknown, "))
        if found
    ]
    if parts:
        whole = Markup("With the whole budget, {}.").format(Markup("; ").join(parts))
        sentences.append(whole)
    return sentences


def winners(bands):
    """Names of those that no other is better than (`statistics.ranks`), by the median.

    A solver of which a run diverged is none if there is another.

    Parameters
    ----------
    bands : dict
        From a solver to (median, low, high, `Ends`).

    Returns
    -------
    tuple of str
        The first one first; empty if nobody got there.
    """
    known = {
        name: Summary(*band, ends.n_runs, ends.n_diverged)
        for name, (*band, ends) in bands.items()
        if math.isfinite(band[0])
    }
    return tuple(name for name, rank in ranks(known).items() if rank == 1)


def _clauses(found, link, shown, one, several, nobody):
    """Such as "A is fastest on P and Q; on R A and B tie"."""
    clauses = []
    for names, problems in sorted(found.items(), key=lambda item: -len(item[1])):
        places = listed([shown[problem] for problem in problems])
        if len(names) == 1:
            clauses.append(Markup("{} {} on {}").format(link(names[0]), one, places))
        elif names:
            many = _some(names, link)
            clauses.append(Markup("on {} {} {}").format(places, many, several))
        else:
            clauses.append(Markup("on {} {}").format(places, nobody))
    return Markup("; ").join(clauses)


def _some(names, link):
    """All of up to four names; else the first of them and how many more."""
    if len(names) > 4:
        rest = f"{len(names) - 3} others"
        return Markup("{}, {}, {} and {}").format(*map(link, names[:3]), rest)
    *head, tail = map(link, names)
    return Markup("{} and {}").format(Markup(", ").join(head), tail)
