"""The charts of a study that compare trainings of equal seconds, and networks of several widths."""

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, FixedLocator, LogLocator, NullLocator

from lit_models.evaluation.sample_quality import key
from lit_models.study.charts import MARKERS, TITLES, Entry, draw_line, empty_axes, svg
from lit_models.study.rows import one_of_each

ACROSS = {"seconds": "seconds of training", "teraflops": "training, TFLOP", "sample_seconds": "seconds for 1,000 samples"}


def variant_points(rows: list[Entry], systems: Entry) -> list[Entry]:
    """One point for each variant: the mean of every measure, under the name of the system that it is a variant of.

    Its samples are those of a sampler that takes labels if there is one, as in the sentences about what was found.
    """
    have = [row for row in rows if row["measured"] and not row["variant"].get("tuned") and row["variant"]["of"] in systems]
    return [
        {name: cell["mean"] for name, cell in row["values"].items()}
        | {"system": row["variant"]["of"], "factor": row["variant"]["factor"], "seconds": row["variant"]["seconds"]}
        for row in one_of_each(have)
    ]


def grown(rows: list[Entry]) -> list[Entry]:
    """The main rows of variants of several widths. That of equal seconds has the shipped width, if its seconds are those of the others."""
    main = [row for row in rows if row["main"] and not row["variant"].get("tuned")]
    found = [row for row in main if row["variant"]["factor"] is not None]
    trained = {(row["variant"]["of"], row["variant"]["seconds"]) for row in found}
    others = [row for row in main if row["variant"]["factor"] is None]
    shipped = [row for row in others if (row["variant"]["of"], row["variant"]["seconds"]) in trained]
    return [*found, *(row | {"variant": row["variant"] | {"factor": 1}} for row in shipped)]


def measures_shown(spaces: list[str]) -> dict[str, str]:
    """The measures of the charts, by their keys: coverage in the first space, and the kernel distance in the first and the last one."""
    shown = {key("coverage", spaces[0]): "coverage", key("kid", spaces[0]): "kid"}
    return shown | {key("kid", spaces[-1]): "kid"}


def equal_charts(points: list[Entry], systems: Entry, spaces: list[str]) -> list[Entry]:
    """Each measure against seconds, against operations, and that of the longest budget against the seconds of sampling."""
    charts = []
    longest = max((point["seconds"] for point in points), default=0)
    for name, kind in measures_shown(spaces).items() if points else ():
        for across, unit in ACROSS.items():
            figure, axes = empty_axes(unit, kind)
            _logarithmic(axes)
            if across == "seconds":
                axes.xaxis.set_major_locator(FixedLocator(sorted({point["seconds"] for point in points})))
            for place, system in enumerate(systems):
                own = sorted((point for point in points if point["system"] == system), key=lambda point: point["seconds"])
                if across == "sample_seconds":
                    own = [point for point in own if point["seconds"] == longest]
                draw_line(axes, [(point.get(across), point.get(name)) for point in own], place, marker=MARKERS[place % len(MARKERS)])
            charts.append({"measure": _title(name, kind), "against": unit, "svg": svg(figure, f"equal-{across}-{name}")})
    return charts


def growth_charts(points: list[Entry], systems: Entry, spaces: list[str]) -> list[Entry]:
    """Each measure against the number of parameters."""
    charts = []
    for name, kind in measures_shown(spaces).items() if points else ():
        figure, axes = empty_axes("parameters", kind)
        _logarithmic(axes)
        for place, system in enumerate(systems):
            own = sorted((point for point in points if point["system"] == system), key=lambda point: point["factor"])
            marker = MARKERS[place % len(MARKERS)]
            draw_line(axes, [(point.get("parameters"), point.get(name)) for point in own], place, marker=marker)
            shipped = [(point.get("parameters"), point.get(name)) for point in own if point["factor"] == 1]
            draw_line(axes, shipped, place, marker=marker, markersize=9)
        charts.append({"measure": _title(name, kind), "against": "parameters", "svg": svg(figure, f"growth-{name}")})
    return charts


def _logarithmic(axes: Axes) -> None:
    """A logarithmic scale whose ticks are plain numbers."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def exponents(points: list[Entry], systems: Entry, spaces: list[str]) -> list[dict[str, Any]]:
    """For each system the slope of log(1 + KID) over the logarithm of the parameters, and the factor of the least KID; the first space."""
    name, found = key("kid", spaces[0]), []
    for system, title in systems.items():
        own = [point for point in points if point["system"] == system and point.get(name) is not None]
        if len(own) > 1:
            sizes, values = ([f(point) for point in own] for f in (lambda p: math.log(p["parameters"]), lambda p: _log(p[name])))
            slope = float(np.polyfit(sizes, values, 1)[0])
            found.append({"title": title, "exponent": slope, "best": min(own, key=lambda point: point[name])["factor"]})
    return found


def _log(distance: float) -> float:
    return math.log1p(max(0.0, distance))


def _title(name: str, kind: str) -> str:
    space = name.partition("_")[2]
    return TITLES.get(kind, kind) + (f" ({space})" if space else "")
