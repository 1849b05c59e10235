"""Decides the claims of a study: expressions over its measures (`lit_models.study.expressions`) are compared with thresholds.

A measure holds if its comparison holds over the whole interval of the expression, in every space of features if it is a distance. It does
not hold if the comparison holds nowhere in any of these intervals. A claim is also decided with all thresholds a fifth lower and a fifth
higher, because thresholds are chosen by hand.
"""

from typing import Any

from lit_models.study.expressions import Interval, Measures, Unknown
from lit_models.study.plan import Claim, Measure, Plan

THRESHOLDS = {"verdict": 1.0, "verdict_lower": 0.8, "verdict_higher": 1.2}  # the factor of all thresholds
SAID = {True: "holds", False: "does not hold", None: "the threshold lies inside the interval"}


def decide(claim: Claim, measures: Measures, plan: Plan) -> dict[str, Any]:
    """A claim with its measures and its verdicts, in the form of `results.json`."""
    found: list[dict[str, Interval]] = []
    missing = []
    for measure in claim.measures:
        try:
            found.append(measures.in_spaces(measure.value))
        except Unknown as error:
            missing.append(str(error))
            found.append({})
    verdicts, reasons = {}, {}
    for name, factor in THRESHOLDS.items():
        lines = [_line(measure, intervals, factor) for measure, intervals in zip(claim.measures, found, strict=True)]
        verdicts[name], reasons[name] = _verdict(lines)
        if missing or not plan.decided:
            verdicts[name] = "not decided"
    why = "; ".join(missing) or reasons["verdict"]
    if not plan.decided:
        why = f"not decided on {plan.dataset}"
    lines = [_line(measure, intervals) for measure, intervals in zip(claim.measures, found, strict=True)]
    return {"number": claim.number, "text": claim.text, **verdicts, "why": why, "measures": lines}


def _line(measure: Measure, found: dict[str, Interval], factor: float = 1.0) -> dict[str, Any]:
    """A measure with its value, that of the first space if it is a distance, and its value in each space."""
    to = None if measure.to is None else factor * measure.to
    values = {space: interval._asdict() | {"holds": comparison_holds(interval, measure.compare, to)} for space, interval in found.items()}
    first = next(iter(values.values()), dict.fromkeys(("value", "low", "high", "holds")))
    kinds = {each["holds"] for each in values.values()}
    disagreement = ""
    if len(kinds) > 1:
        disagreement = "the spaces disagree: " + ", ".join(f"{space}: {SAID[each['holds']]}" for space, each in values.items())
    holds = {"holds": kinds.pop() if len(kinds) == 1 else None, "disagreement": disagreement}
    given = {"what": measure.what, "compare": measure.compare, "threshold": to, "expression": measure.value}
    return given | first | holds | {"spaces": values if "" not in values else {}}


def _verdict(lines: list[dict[str, Any]]) -> tuple[str, str]:
    """The verdict over the measures that have a threshold, and its reason."""
    decisive = [line for line in lines if line["compare"]]
    kinds = {line["holds"] for line in decisive}
    if kinds == {True}:
        return "holds", "every measure holds over its whole interval"
    if kinds == {False}:
        return "does not hold", "no measure holds anywhere in its interval"
    agreed = [line for line in decisive if not line["disagreement"]]
    parts = [
        f"{said}: {', '.join(line['what'] for line in agreed if line['holds'] is kind)}"
        for kind, said in SAID.items()
        if kind in {line["holds"] for line in agreed}
    ]
    return "depends", "; ".join(parts + [f"{line['what']}: {line['disagreement']}" for line in decisive if line["disagreement"]])


def comparison_holds(found: Interval, compare: str | None, to: float | None) -> bool | None:
    """True if the comparison holds over the whole interval, False if it holds nowhere in it, None otherwise."""
    if compare is None or to is None:
        return None
    low, high = (found.low >= to, found.high >= to) if compare == ">=" else (found.high <= to, found.low <= to)
    return True if low else (None if high else False)
