"""What a study found, in three sentences: who comes nearest to real images, at what cost, and what became of the claims."""

from typing import Any

from lit_models.evaluation.sample_quality import key
from lit_models.study.rows import one_of_each

Row = dict[str, Any]
GOOD_COVERAGE = 0.9


def findings(results: dict[str, Any], rows: list[Row]) -> list[str]:
    """The sentences; one is left out if the study has nothing for it.

    Args:
        rows: Those of trainings of equal seconds if there are any, of which the longest are compared; else the main rows.
    """
    spaces, longest = results["study"]["spaces"], max((_seconds(row) for row in rows), default=0.0)
    compared = [row for row in rows if _seconds(row) == longest]
    sentences = [_nearest(compared, spaces, longest), _cheapest(rows, spaces), _claims(results["claims"])]
    return [sentence for sentence in sentences if sentence]


def _seconds(row: Row) -> float:
    """The seconds that a row of equal seconds was given."""
    return float(row["variant"]["seconds"]) if row["variant"] else 0.0


def _nearest(rows: list[Row], spaces: list[str], seconds: float) -> str:
    """The rows that no other one is nearer than, in each space: of those whose samplers take labels, if there are any."""
    labelled, parts = [row for row in rows if row["labelled"]], []
    rows = labelled or rows
    for space in spaces:
        name = key("kid", space)
        best = sorted((row for row in rows if name in row["best"]), key=lambda row: row["values"][name]["mean"])
        titles = list(dict.fromkeys(map(_title, best)))
        if best:
            parts.append(f"in the space {space} {_list(titles)} (KID {best[0]['values'][name]['mean']:.1f})")
    when = f"after {seconds:g} seconds of training" if seconds else "at their own length"
    who = "Of the samplers that take labels, nearest" if labelled else "Nearest"
    return f"{who} to real images, or not told apart from the nearest, are {when}: {'; '.join(parts)}." if parts else ""


def _title(row: Row) -> str:
    """The name of a system without the length of its training, and its sampler if that is not its main one."""
    title = row["title"].removesuffix(f", {row['variant']['seconds']:g} s") if row["variant"] else row["title"]
    return title if row["main"] else f"{title} ({row['sampler']})"


def _cheapest(rows: list[Row], spaces: list[str]) -> str:
    """Of the systems that cover real images well, the one whose training had the fewest operations."""
    name = key("coverage", spaces[0]) if spaces else ""
    good = [row for row in one_of_each(rows) if _mean(row, name) >= GOOD_COVERAGE and "teraflops" in row["values"]]
    if not good:
        return ""
    least = min(good, key=lambda row: _mean(row, "teraflops"))
    seconds = _seconds(least) or _mean(least, "seconds")
    return (
        f"With a coverage of at least {GOOD_COVERAGE:g}, the fewest operations of training has {_title(least)}: "
        f"{_mean(least, 'teraflops'):,.0f} TFLOP in {seconds:,.0f} seconds."
    )


def _claims(claims: list[Row]) -> str:
    verdicts = [claim["verdict"] for claim in claims]
    counts = {verdict: verdicts.count(verdict) for verdict in ("holds", "does not hold", "depends", "not decided")}
    if not any(counts[verdict] for verdict in ("holds", "does not hold", "depends")):
        return ""
    parts = [
        _counted(counts["holds"], "holds", "hold"),
        _counted(counts["does not hold"], "does not", "do not"),
        _counted(counts["depends"], "depends on how it is measured", "depend on how they are measured"),
    ]
    parts += [_counted(counts["not decided"], "is not decided", "are not decided")] if counts["not decided"] else []
    return f"Of {len(claims)} claims of the report {_list(parts)}."


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _mean(row: Row, name: str) -> float:
    return float((row["values"].get(name) or {}).get("mean") or 0.0)


def _list(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
