"""The charts of a study's page, each as SVG inside HTML."""

import re
from collections.abc import Iterable
from io import BytesIO
from itertools import zip_longest
from typing import Any

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

from lit_models.evaluation.sample_quality import FIRST, key

Entry = dict[str, Any]
READINGS = {"seconds": "seconds of training", "images": "images seen"}
RESPONSES = ("recognisable", "kept", "sharpness", "change")
SHARES = ("recognisable", "coverage", "kept", "recall")  # between 0 and 1
TITLES = {"fid": "FID", "kid": "KID x 1000"}  # of distances, which have a logarithmic scale
COLOURS = ("#1f6fb4", "#d1601a", "#26893b", "#c22f3d", "#7d57b0", "#7a5140", "#d256a0", "#5c6166", "#96910f", "#0c98a8")
DASHES = ("-", (0, (4, 1.6)), (0, (1.2, 1.3)), (0, (6, 1.5, 1, 1.5)))
MARKERS = "os^Dv*PX<"


def quality_charts(stages: list[Entry], systems: Entry, space: str = FIRST) -> list[Entry]:
    """One chart per measure against seconds, and one against images. Distances are those of one space; old results have FID, not KID."""
    charts = []
    distance = "kid" if any(key("kid", space) in stage["values"] for stage in stages) else "fid"
    keys = {"recognisable": "recognisable", "coverage": key("coverage", space), distance: key(distance, space)}
    for reading, unit in READINGS.items():
        for measure, name in keys.items() if stages else ():
            figure, axes = empty_axes(unit, measure)
            for place, system in enumerate(systems):
                draw_seeds(axes, [stage for stage in stages if stage["system"] == system], reading, name, place)
            charts.append({"measure": TITLES.get(measure, measure), "against": unit, "svg": svg(figure, f"{reading}-{measure}")})
    return charts


def knob_charts(knobs: list[Entry], systems: Entry, space: str = FIRST) -> list[Entry]:
    """The share of recognisable samples against recall, or coverage where recall is not measured: a line per system over temperatures."""
    points = [point for knob in knobs for point in knob["points"]]
    across = "recall" if any("recall" in point for point in points) else "coverage"
    name = "recall" if across == "recall" else key("coverage", space)
    if not any(point.get(name) is not None and point.get("recognisable") is not None for point in points):
        return []
    figure, axes = empty_axes(across, "recognisable")
    for place, system in enumerate(systems):
        for knob in (knob for knob in knobs if knob["system"] == system):
            own = sorted(knob["points"], key=lambda point: point["temperature"])
            draw_line(axes, [(point.get(name), point.get("recognisable")) for point in own], place, marker=MARKERS[place % len(MARKERS)])
            for point in own[:: max(1, len(own) - 1)]:  # the ends
                if None not in (at := (point.get(name), point.get("recognisable"))):
                    axes.annotate(f"{point['temperature']:g}", at, (3, 3), textcoords="offset points", fontsize=7)
    return [{"measure": "recognisable", "against": f"{across}, over temperatures", "svg": svg(figure, "knobs")}]


def draw_seeds(axes: Axes, stages: list[Entry], reading: str, measure: str, place: int) -> None:
    """A thin line per seed, and their mean over the stages that all seeds have: with a seed missing, the mean would jump."""
    seeds = []
    for seed in sorted({stage["seed"] for stage in stages}):
        own = sorted((stage for stage in stages if stage["seed"] == seed), key=lambda stage: stage["images"])
        seeds.append([(stage[reading], stage["values"].get(measure)) for stage in own])
    if len(seeds) > 1:
        for points in seeds:
            draw_line(axes, points, place, linewidth=0.6, alpha=0.3)
    shared = [points for points in zip_longest(*seeds, fillvalue=(None, None)) if all(None not in point for point in points)]
    means = [tuple(sum(part) / len(part) for part in zip(*points, strict=True)) for points in shared]
    draw_line(axes, means, place, marker=MARKERS[place % len(MARKERS)])


def response_groups(responses: list[Entry], systems: Entry) -> list[Entry]:
    """One group per place and unit of the noise: its charts, and the sigma50 of each system."""
    groups: list[Entry] = []
    for at, unit in dict.fromkeys((entry["at"], entry["unit"]) for entry in responses):
        own = {entry["system"]: entry for entry in responses if (entry["at"], entry["unit"]) == (at, unit)}
        charts = []
        for measure in RESPONSES:
            figure, axes = empty_axes(f"sigma, {unit}", measure)
            for place, system in enumerate(systems):
                if system in own:
                    points = zip(own[system]["sigmas"], own[system][measure], strict=True)
                    draw_line(axes, points, place, marker=MARKERS[place % len(MARKERS)])
            charts.append({"measure": measure, "against": f"noise at {at}", "svg": svg(figure, f"response-{len(groups)}-{measure}")})
        groups.append({"at": at, "unit": unit, "charts": charts, "sigma50": {system: own[system]["sigma50"] for system in own}})
    return groups


def legend(name: str, entries: list[Entry], systems: Entry) -> list[Entry]:
    """The systems in the charts of a section, each with a sample of its line."""
    shown, buttons = {entry["system"] for entry in entries}, []
    for place, (system, title) in enumerate(systems.items()):
        if system in shown:
            figure = Figure(figsize=(0.53, 0.18))
            axes = figure.add_axes((0, 0, 1, 1), frameon=False, xticks=[], yticks=[], xlim=(0, 2), ylim=(-1, 1))
            draw_line(axes, [(0.1, 0), (1, 0), (1.9, 0)], place, marker=MARKERS[place % len(MARKERS)], markevery=[1], markersize=6)
            buttons.append({"system": system, "title": title, "place": place, "svg": svg(figure, f"{name}-legend-{place}")})
    return buttons


def empty_axes(unit: str, measure: str) -> tuple[Figure, Axes]:
    """A figure without lines, with the scales of a measure."""
    figure = Figure(figsize=(4.4, 3.0), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(unit, parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e7e9ec", linewidth=0.7)
    axes.set_axisbelow(True)
    if unit == READINGS["images"]:
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))  # 500k, 1M
    if measure in SHARES:
        axes.set_ylim(-0.03, 1.03)
    if unit in SHARES:
        axes.set_xlim(-0.03, 1.03)
    if measure in TITLES:
        axes.set_yscale("log", nonpositive="mask")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    return figure, axes


def draw_line(axes: Axes, points: Iterable[tuple], place: int, **changes: Any) -> None:
    """Draw the line of system number `place` through the points that have both numbers. The page finds it by its `gid`."""
    complete = [point for point in points if None not in point]
    style: Entry = {"linewidth": 1.6, "markersize": 4.5, "markeredgecolor": "white", "markeredgewidth": 0.4}
    style |= {"color": COLOURS[place % len(COLOURS)], "linestyle": DASHES[place // len(COLOURS) % len(DASHES)]}
    if complete:
        axes.plot(*zip(*complete, strict=True), gid=f"line-{place}-{len(axes.lines)}", **(style | changes))


def svg(figure: Figure, name: str) -> Markup:
    """The figure as SVG inside HTML. Its ids get `name` as a prefix, because a page has many figures."""
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "lit_models.study"}):
        figure.savefig(buffer := BytesIO(), format="svg", transparent=True, metadata={"Date": None})
    drawing = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", buffer.getvalue().decode(), flags=re.DOTALL)
    head, body = drawing[drawing.index("<svg") :].split(">", 1)
    box = re.findall(r'viewBox="[^"]*"', head)[0]
    return with_prefix(f"<svg {box}>" + body.strip(), f"{name}-")


def with_prefix(drawing: str, prefix: str) -> Markup:
    """A drawing whose ids, and references to them, begin with `prefix`."""
    return Markup(re.sub(r'\bid="|href="#|url\(#', rf"\g<0>{prefix}", str(drawing)))
