"""Values of expressions over the measures of a study, each with an interval.

An expression is one term, or two terms joined by ` - ` or ` / `. A term is

    ae.mse                      a column of the table: a value of the model, or of its main sampler
    ae:gaussian.recognisable    a value of another sampler
    ae.centroids.kept@1         the response to noise of this sigma at the centroids, or `.codes.` at the codes of images
    ae.stages.seconds@55000     the value at the first stage that has seen at least this number of images
    gan.val/accuracy_real       the last value of a curve of the run
    least(ae:*.kid, !ae:kde.kid)  the least value of all terms that fit a pattern, but none with `!`, or most(...), the greatest
    best(*:*.kid)               the same among rows whose coverage is at least 0.5: the least kid or fid, the greatest value otherwise

A distance without the name of a space is evaluated in every space of the study: `ae.kid` is `ae.kid`, `ae.kid_second` and
`ae.kid_untrained`. The coverage that `best` asks for is that of the first space.

The value of a term is the mean over seeds, and its interval that of `lit_models.study.intervals`. Patterns leave out the variants of a
system, which have names of their own.
"""

import fnmatch
import re
from collections.abc import Collection, Sequence
from typing import Any

from lit_models.evaluation.sample_quality import FIRST, key
from lit_models.study.columns import SPACES
from lit_models.study.intervals import Estimate, Interval, error_of_share, estimate

SHARES = {
    *("recognisable", "recognisable_gap", "control", "precision", "recall", "cas", "reconstruction_recognisable", "reconstruction_kept"),
    *("kept", "probe", "knn", "next", "noise_probe", *(key("coverage", space) for space in SPACES)),
}
CURVE_IMAGES = 1000  # images per point of a curve over sigma
LEAST_COVERAGE = 0.5  # of a row that is the best in anything
DISTANCE = re.compile(r"\.(kid|fid|density|coverage)(?![\w.])")  # without the name of a space


class Unknown(Exception):
    """An expression has no value; the message names the part that is missing."""


class Measures:
    """All measures of a study, by system and seed.

    Args:
        samples: Number of samples behind each share.
        spaces: The spaces of features of the study, the first one first.
        variants: Names of systems that no pattern fits.
    """

    def __init__(self, found: list[dict[str, Any]], samples: int, spaces: Sequence[str] = (FIRST,), variants: Collection[str] = ()) -> None:
        self.samples, self.spaces, self.variants = samples, tuple(spaces), variants
        self.of: dict[str, list[dict[str, Any]]] = {}
        for each in found:
            self.of.setdefault(each["system"], []).append(each)

    def in_spaces(self, expression: str) -> dict[str, Interval]:
        """The expression in each space by its name, if it contains a distance that names none; else the one value, under ""."""
        if DISTANCE.search(expression) is None:
            return {"": self.evaluate(expression)}
        return {space: self.evaluate(_in_space(expression, space)) for space in self.spaces}

    def evaluate(self, expression: str) -> Interval:
        """The value of an expression and its interval, keys as they are; raises Unknown if a term has no value."""
        match = re.fullmatch(r"(.+?) ([-/]) (.+)", expression)
        if match is None:
            return self._term(expression).interval()
        first, second = self._term(match[1]), self._term(match[3])
        if match[2] == "-":
            return Estimate(first.value - second.value, first.draws - second.draws).interval()
        if second.interval().low <= 0:
            raise Unknown(f"{match[3]} is not above 0")
        return Estimate(first.value / second.value, first.draws / second.draws).interval()

    def _term(self, term: str) -> Estimate:
        extreme = re.fullmatch(r"(least|most|best)\((.+)\)", term)
        if extreme:
            return self._extreme(extreme[1], extreme[2])
        head, _, at = term.partition("@")
        subject, _, name = head.rpartition(".")
        system, _, place = subject.rpartition(".") if at else subject.partition(":")

        def values(name: str) -> list[float | None]:
            return [_on_curve(each, place, name, float(at)) if at else _plain(each, place, name) for each in self._system(system)]

        found = [value for value in values(name) if value is not None]
        if len(found) < len(self._system(system)):
            raise Unknown(f"{term} has no value")
        return estimate(found, errors_of(name, found, values(error_name(name)), CURVE_IMAGES if at else self.samples), system, term)

    def _extreme(self, operator: str, given: str) -> Estimate:
        patterns = [each.strip() for each in re.split(r",(?=\s*!?[\w*]+:)", given)]  # the name of a sampler may contain a comma
        left_out = {name for each in patterns if each.startswith("!") for name in self._fitting(each[1:])}
        names = [name for each in patterns if not each.startswith("!") for name in self._fitting(each) if name not in left_out]
        if operator == "best":
            names = [name for name in names if self._covers(name.rpartition(".")[0])]
        if not names:
            raise Unknown(f"nothing fits {given}" + (f" and has a coverage of at least {LEAST_COVERAGE}" if operator == "best" else ""))
        found = [self._term(name) for name in names]
        least = operator == "least" or (operator == "best" and names[0].rpartition(".")[2].startswith(("kid", "fid")))
        return (min if least else max)(found, key=lambda each: each.value)

    def _covers(self, row: str) -> bool:
        try:
            return self._term(f"{row}.{key('coverage', self.spaces[0])}").value >= LEAST_COVERAGE
        except Unknown:
            return False

    def _system(self, name: str) -> list[dict[str, Any]]:
        if name not in self.of:
            raise Unknown(f"{name} has not been measured")
        return self.of[name]

    def _fitting(self, pattern: str) -> list[str]:
        """The terms `system:sampler.key` that fit a pattern and have a value."""
        subject, _, name = pattern.rpartition(".")
        rows = [
            f"{system}:{sampler}"
            for system, seeds in self.of.items()
            if system not in self.variants
            for sampler in seeds[0]["samplers"]
            if all(each["samplers"].get(sampler, {}).get(name) is not None for each in seeds)
        ]
        return [f"{row}.{name}" for row in rows if fnmatch.fnmatch(row, subject)]


def error_name(name: str) -> str:
    """The name of the standard error of a kernel distance; other measures have none under this name."""
    return name.replace("kid", "kid_error", 1)


def errors_of(name: str, values: Sequence[float], errors: Sequence[float | None], images: int) -> list[float]:
    """The standard error of each value: of a share of images, of a kernel distance, else 0."""
    if name in SHARES and images:
        return [error_of_share(value, images) for value in values]
    return [error or 0.0 for error in errors] if name.startswith("kid") else [0.0] * len(values)


def _in_space(expression: str, space: str) -> str:
    return DISTANCE.sub(lambda found: f".{key(found[1], space)}", expression)


def _plain(found: dict[str, Any], sampler: str, name: str) -> float | None:
    value = (found["samplers"].get(sampler, {}) if sampler else flat(found)).get(name)
    return None if value is None else float(value)


def _on_curve(found: dict[str, Any], place: str, name: str, at: float) -> float | None:
    if place == "stages":
        points = {stage["images"]: stage | stage["values"] for stage in found["stages"]}
        reached = [images for images in points if images >= at]
        value = points[min(reached)].get(name) if reached else None
    else:
        curves = found["responses"].get(place, {})
        value = dict(zip(curves.get("sigmas", []), curves.get(name, []), strict=False)).get(at)
    return None if value is None else float(value)


def flat(found: dict[str, Any]) -> dict[str, Any]:
    """The values of one system and seed on the main row of the table."""
    main: dict[str, Any] = next(iter(found["samplers"].values()), {})
    sigmas = {f"sigma50_{place}": curves["sigma50"] for place, curves in found["responses"].items()}
    train = {"seconds": found["trained"]["seconds"], "images": found["trained"]["images"], "parameters": found["parameters"]}
    train |= {"teraflops": found["flops"] / 1e12} if "flops" in found else {}
    return found["last_scalars"] | main | found["codes"] | sigmas | train | {"decoder_parameters": found["decoder_parameters"]}
