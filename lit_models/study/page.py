"""Results of a study as one self-contained page: pictures and charts inside, no network, opens from file://.

`write_page(folder)` reads `folder/results.json` and the pictures that it names, and writes `folder/index.html`. The template is
`page.html`, with its style and its script in files next to it; its engine escapes every text.
"""

import base64
import json
import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, UndefinedError

from lit_models.checkpoints.files import replacing
from lit_models.study.charts import Entry, knob_charts, legend, quality_charts, response_groups, with_prefix
from lit_models.study.expressions import LEAST_COVERAGE
from lit_models.study.findings import findings
from lit_models.study.variant_charts import equal_charts, exponents, grown, growth_charts, variant_points

PARTS = ("study", "columns", "controls", "rows", "stages", "responses", "knobs", "agreement", "claims", "pictures")
PNG = b"\x89PNG\r\n\x1a\n"


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
    spaces, knobs = results["study"]["spaces"], results["knobs"]
    rows = [row | {"measured": any(value["mean"] is not None for value in row["values"].values())} for row in results["rows"]]
    own, variants = [row for row in rows if not row["variant"]], [row for row in rows if row["variant"]]
    entries = [*own, *results["stages"], *results["responses"]]
    systems = {entry["system"]: entry["title"] for entry in entries}
    equal = [row for row in variants if row["variant"]["factor"] is None]
    points, widths = variant_points(equal, systems), variant_points(grown(variants), systems)
    engine = Environment(
        loader=FileSystemLoader(Path(__file__).parent, encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: "n/a" if value is None else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    engine.filters |= {"number": number, "prefixed": prefixed, "plain": plain}
    return engine.get_template("page.html").render(
        results,
        pictures=[picture | picture_data(folder / picture["file"]) for picture in results["pictures"]],
        tables=tables_of(own),
        equal_tables=[
            table
            for seconds in sorted({row["variant"]["seconds"] for row in equal}, reverse=True)
            for table in tables_of([row for row in equal if row["variant"]["seconds"] == seconds], f" {seconds:g} seconds of training,")
        ],
        findings=findings(results, equal or [row for row in own if row["main"]]),
        equal_charts=equal_charts(points, systems, spaces),
        growth_charts=growth_charts(widths, systems, spaces),
        exponents=exponents(widths, systems, spaces),
        agreement=results["agreement"],
        further=sum(not row["main"] for row in own),
        real=[control for control in results["controls"] if control["real"]],
        distorted=[control for control in results["controls"] if not control["real"]],
        least_coverage=LEAST_COVERAGE,
        charts=quality_charts(results["stages"], systems, spaces[0]),
        knob_charts=knob_charts(knobs, systems, spaces[0]),
        groups=response_groups(results["responses"], systems),
        legends={
            name: legend(name, part, systems)
            for name, part in (
                *((part, results[part]) for part in ("stages", "responses")),
                *(("knobs", knobs), ("equal", points), ("growth", widths)),
            )
        },
    )


def prefixed(entry: Entry, prefix: str) -> Entry:
    """A chart that is shown a second time: its ids get a prefix of their own."""
    return entry | {"svg": with_prefix(entry["svg"], prefix)}


def number(value: float | None, digits: int | None = None) -> str:
    """A number with `digits` decimals, by default with three significant figures and the whole integer part."""
    if value is None:
        return "n/a"
    if digits is None:
        return f"{value:.3g}" if abs(value) < 999.5 else f"{value:,.0f}"
    return f"{round(value, digits) + 0.0:,.{digits}f}"  # + 0.0: no minus before a zero


def plain(text: str) -> str:
    """A text without the signs of a Python dictionary, which the recipes of judges have."""
    return re.sub(r"[{}']", "", text)


def tables_of(rows: list[Entry], of: str = "") -> list[Entry]:
    """Tables of rows without labels and with labels, each if there are any."""
    return [
        {"title": f"{of} {title}".strip().capitalize(), "rows": own}
        for title, labelled in (("samplers without labels", False), ("samplers that take labels", True))
        if (own := [row for row in rows if row["labelled"] == labelled])
    ]


def picture_data(file: Path) -> Entry:
    """A PNG as a data URI, and whether it is so small that the page enlarges it."""
    if not file.is_file():
        raise FileNotFoundError(f"expected the picture {file}, which results.json names, got no such file: run the study again")
    data = file.read_bytes()
    if not data.startswith(PNG):
        raise ValueError(f"expected a PNG in {file}, got {data[:8]!r}: run the study again")
    return {"uri": f"data:image/png;base64,{base64.b64encode(data).decode()}", "small": int.from_bytes(data[16:20], "big") < 240}
