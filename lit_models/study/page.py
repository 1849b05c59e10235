"""Results of a study as one self-contained page: pictures and charts inside, no network, opens from file://.

`write_page(folder)` reads `folder/results.json` and the pictures that it names, and writes `folder/index.html`. The template is
`page.html`; its engine escapes every text.
"""

import base64
import json
import re
from collections.abc import Iterable
from io import BytesIO
from itertools import zip_longest
from pathlib import Path
from typing import Any

import matplotlib
from jinja2 import Environment, FileSystemLoader, StrictUndefined, UndefinedError
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

from lit_models.checkpoints.files import replacing

Entry = dict[str, Any]
PARTS = ("study", "columns", "controls", "rows", "stages", "responses", "claims", "pictures")
PNG = b"\x89PNG\r\n\x1a\n"
READINGS = {"seconds": "seconds of training", "images": "images seen"}
CURVES = ("recognisable", "coverage", "fid")
RESPONSES = ("recognisable", "kept", "sharpness", "change")
SHARES = ("recognisable", "coverage", "kept")  # between 0 and 1
COLOURS = ("#1f6fb4", "#d1601a", "#26893b", "#c22f3d", "#7d57b0", "#7a5140", "#d256a0", "#5c6166", "#96910f", "#0c98a8")
DASHES = ("-", (0, (4, 1.6)), (0, (1.2, 1.3)), (0, (6, 1.5, 1, 1.5)))
MARKERS = "os^Dv*PX<"


def write_page(folder: Path) -> Path:
    """Write the page of the results in a folder. The same results give the same bytes.

    Returns:
        The page, `folder/index.html`. It is whole, or the old page stays.
    Raises:
        FileNotFoundError: If `results.json` or a picture that it names is missing.
        ValueError: If `results.json` does not hold results of a study, or a picture is no PNG.
    """
    results = read_results(folder)
    try:
        html = render(folder, results)
    except (KeyError, UndefinedError) as error:
        raise ValueError(f"expected results of a study in {folder / 'results.json'}, got some that lack {error}: run it again") from error
    page = folder / "index.html"
    with replacing(page) as part:
        part.write_text(html, encoding="utf-8")
    return page


def read_results(folder: Path) -> Entry:
    """The content of `results.json`; numbers that are not finite become None."""
    file = folder / "results.json"
    if not file.is_file():
        raise FileNotFoundError(f"expected results of a study in {file}, got no such file: run the study first, or name its folder")
    try:
        results = json.loads(file.read_text(encoding="utf-8"), parse_constant=lambda constant: None)
    except ValueError as error:
        raise ValueError(f"expected JSON in {file}, got {error}: run the study again") from error
    missing = [part for part in PARTS if not isinstance(results, dict) or part not in results]
    if missing:
        raise ValueError(f"expected results of a study in {file}, got some that lack {', '.join(missing)}: run it again")
    return results


def render(folder: Path, results: Entry) -> str:
    """The page as HTML."""
    systems = {entry["system"]: entry["title"] for part in ("rows", "stages", "responses") for entry in results[part]}
    engine = Environment(
        loader=FileSystemLoader(Path(__file__).parent, encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: "n/a" if value is None else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    engine.filters["number"] = number
    return engine.get_template("page.html").render(
        results,
        pictures=[picture | picture_data(folder / picture["file"]) for picture in results["pictures"]],
        rows=[row | {"measured": any(value and value["mean"] is not None for value in row["values"].values())} for row in results["rows"]],
        charts=quality_charts(results["stages"], systems),
        groups=response_groups(results["responses"], systems),
        legends={part: legend(part, results[part], systems) for part in ("stages", "responses")},
        best={column["key"]: best_shown(column, results["rows"]) for column in results["columns"]},
    )


def number(value: float | None, digits: int | None = None) -> str:
    """A number with `digits` decimals, by default with three significant figures and the whole integer part."""
    if value is None:
        return "n/a"
    if digits is None:
        return f"{value:.3g}" if abs(value) < 999.5 else f"{value:,.0f}"
    return f"{round(value, digits) + 0.0:,.{digits}f}"  # + 0.0: no minus before a zero


def best_shown(column: Entry, rows: list[Entry]) -> str | None:
    """The best mean of the main rows, rounded as in the table, so that all cells that look equal to it are bold."""
    values = [row["values"].get(column["key"]) for row in rows if row["main"]]
    means = [value["mean"] for value in values if value and value["mean"] is not None]
    if not means or column["better"] is None:
        return None
    return number(max(means) if column["better"] == "higher" else min(means), column["digits"])


def picture_data(file: Path) -> Entry:
    """A PNG as a data URI, and whether it is so small that the page enlarges it."""
    if not file.is_file():
        raise FileNotFoundError(f"expected the picture {file}, which results.json names, got no such file: run the study again")
    data = file.read_bytes()
    if not data.startswith(PNG):
        raise ValueError(f"expected a PNG in {file}, got {data[:8]!r}: run the study again")
    return {"uri": f"data:image/png;base64,{base64.b64encode(data).decode()}", "small": int.from_bytes(data[16:20], "big") < 240}


def quality_charts(stages: list[Entry], systems: Entry) -> list[Entry]:
    """One chart per measure against seconds, and one against images."""
    charts = []
    for reading, unit in READINGS.items():
        for measure in CURVES if stages else ():
            figure, axes = empty_axes(unit, measure)
            for place, system in enumerate(systems):
                draw_seeds(axes, [stage for stage in stages if stage["system"] == system], reading, measure, place)
            charts.append({"measure": "FID" if measure == "fid" else measure, "against": unit, "svg": svg(figure, f"{reading}-{measure}")})
    return charts


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
    if measure == "fid":
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
    return Markup(f"<svg {box}>" + re.sub(r'\bid="|href="#|url\(#', rf"\g<0>{name}-", body.strip()))
