"""Decides the claims of a study: expressions over its measures, each with an interval, are compared with thresholds.

An expression is one term, or two terms joined by ` - ` or ` / `. A term is

    ae.mse                      a column of the table: a value of the model, or of its main sampler
    ae:gaussian.recognisable    a value of another sampler
    ae.centroids.kept@1         the response to noise of this sigma at the centroids, or `.codes.` at the codes of images
    ae.stages.seconds@55000     the value at the first stage that has seen at least this number of images
    gan.val/accuracy_real       the last value of a curve of the run
    least(ae:*.fid, vae:*.fid)  the least value of all terms that fit a pattern, or most(...), the greatest

The value of a term is the mean over seeds. Its interval goes from the least seed to the greatest; for the share of n images it is 1.96
standard errors wider on each side. The interval of two joined terms is the widest that the ends of their intervals give.
"""

import fnmatch
import math
import re
from typing import Any, NamedTuple

from lit_models.study.plan import Claim, Plan

SHARES = {"recognisable", "control", "precision", "reconstruction_recognisable", "reconstruction_kept", "kept", "probe", "knn", "next"}
CURVE_IMAGES = 1000  # images per point of a curve over sigma


class Interval(NamedTuple):
    """A value with its lower and upper bound."""

    value: float
    low: float
    high: float


class Unknown(Exception):
    """An expression has no value; the message names the part that is missing."""


class Measures:
    """All measures of a study, by system and seed; `samples` is the number of samples behind each share."""

    def __init__(self, found: list[dict[str, Any]], samples: int) -> None:
        self.samples = samples
        self.of: dict[str, list[dict[str, Any]]] = {}
        for each in found:
            self.of.setdefault(each["system"], []).append(each)

    def evaluate(self, expression: str) -> Interval:
        """The value of an expression and its interval; raises Unknown if a term has no value."""
        match = re.fullmatch(r"(.+?) ([-/]) (.+)", expression)
        if match is None:
            return self._term(expression)
        first, second = self._term(match[1]), self._term(match[3])
        if match[2] == "-":
            return Interval(first.value - second.value, first.low - second.high, first.high - second.low)
        if second.low <= 0:
            raise Unknown(f"{match[3]} is not above 0")
        return Interval(first.value / second.value, first.low / second.high, first.high / second.low)

    def _term(self, term: str) -> Interval:
        extreme = re.fullmatch(r"(least|most)\((.+)\)", term)
        if extreme:
            fitting = [self._term(name) for pattern in extreme[2].split(",") for name in self._fitting(pattern.strip())]
            if not fitting:
                raise Unknown(f"nothing fits {extreme[2]}")
            return min(fitting) if extreme[1] == "least" else max(fitting)
        head, _, at = term.partition("@")
        subject, _, key = head.rpartition(".")
        if at:
            system, _, place = subject.rpartition(".")
            values = [self._on_curve(each, place, key, float(at), term) for each in self._system(system)]
            images = CURVE_IMAGES
        else:
            system, _, sampler = subject.partition(":")
            values = [self._plain(each, sampler, key, term) for each in self._system(system)]
            images = self.samples
        value, error = sum(values) / len(values), 0.0
        if key in SHARES and images:
            error = 1.96 * math.sqrt(max(0.0, value * (1 - value)) / images)
        return Interval(value, min(values) - error, max(values) + error)

    def _system(self, name: str) -> list[dict[str, Any]]:
        if name not in self.of:
            raise Unknown(f"{name} has not been measured")
        return self.of[name]

    def _fitting(self, pattern: str) -> list[str]:
        """The terms `system:sampler.key` that fit a pattern and have a value."""
        subject, _, key = pattern.rpartition(".")
        names = [
            f"{system}:{sampler}"
            for system, seeds in self.of.items()
            for sampler in seeds[0]["samplers"]
            if all(each["samplers"].get(sampler, {}).get(key) is not None for each in seeds)
        ]
        return [f"{name}.{key}" for name in names if fnmatch.fnmatch(name, subject)]

    def _plain(self, found: dict[str, Any], sampler: str, key: str, term: str) -> float:
        value = (found["samplers"].get(sampler, {}) if sampler else flat(found)).get(key)
        if value is None:
            raise Unknown(f"{term} has no value")
        return float(value)

    def _on_curve(self, found: dict[str, Any], place: str, key: str, at: float, term: str) -> float:
        if place == "stages":
            points = {stage["images"]: stage | stage["values"] for stage in found["stages"]}
            reached = [images for images in points if images >= at]
            value = points[min(reached)].get(key) if reached else None
        else:
            curves = found["responses"].get(place, {})
            value = dict(zip(curves.get("sigmas", []), curves.get(key, []), strict=False)).get(at)
        if value is None:
            raise Unknown(f"{term} has no value")
        return float(value)


def flat(found: dict[str, Any]) -> dict[str, Any]:
    """The values of one system and seed on the main row of the table."""
    main: dict[str, Any] = next(iter(found["samplers"].values()), {})
    sigmas = {f"sigma50_{place}": curves["sigma50"] for place, curves in found["responses"].items()}
    train = {"seconds": found["trained"]["seconds"], "images": found["trained"]["images"], "parameters": found["parameters"]}
    return found["last_scalars"] | main | found["codes"] | sigmas | train | {"decoder_parameters": found["decoder_parameters"]}


def decide(claim: Claim, measures: Measures, plan: Plan) -> dict[str, Any]:
    """A claim with its measures and its verdict, in the form of `results.json`."""
    lines, missing = [], []
    for measure in claim.measures:
        line: dict[str, Any] = {"what": measure.what, "compare": measure.compare, "threshold": measure.to, "expression": measure.value}
        try:
            found = measures.evaluate(measure.value)
        except Unknown as error:
            missing.append(str(error))
            line |= {"value": None, "low": None, "high": None, "holds": None}
        else:
            line |= found._asdict() | {"holds": _holds(found, measure.compare, measure.to)}
        lines.append(line)
    verdict, why = _verdict(lines)
    if missing:
        verdict, why = "not decided", "; ".join(missing)
    if not plan.decided:
        verdict, why = "not decided", f"not decided on {plan.dataset}"
    return {"number": claim.number, "text": claim.text, "verdict": verdict, "why": why, "measures": lines}


def _verdict(lines: list[dict[str, Any]]) -> tuple[str, str]:
    """The verdict over the measures that have a threshold, and its reason."""
    decisive = [line for line in lines if line["compare"]]
    kinds = {line["holds"] for line in decisive}
    if kinds == {True}:
        return "holds", "every measure holds over its whole interval"
    if kinds == {False}:
        return "does not hold", "no measure holds anywhere in its interval"
    parts = [
        f"{name}: {', '.join(line['what'] for line in decisive if line['holds'] is kind)}"
        for name, kind in (("holds", True), ("does not hold", False), ("the threshold lies inside the interval", None))
        if kind in kinds
    ]
    return "depends", "; ".join(parts)


def _holds(found: Interval, compare: str | None, to: float | None) -> bool | None:
    """True if the comparison holds over the whole interval, False if it holds nowhere in it, None otherwise."""
    if compare is None or to is None:
        return None
    low, high = (found.low >= to, found.high >= to) if compare == ">=" else (found.high <= to, found.low <= to)
    return True if low else (None if high else False)
