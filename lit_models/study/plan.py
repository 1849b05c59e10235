"""What a study is to do, read from its YAML: systems, budget, and claims with their measures and thresholds."""

from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from lit_models.command.errors import UserError, did_you_mean
from lit_models.training import configs


@dataclass(frozen=True)
class System:
    """One model as it is trained: `config` are the words after --config, `options` further words of `lightning fit`.

    `sampler` is the one of the system's main row, a latent density or a prior; by default the model's own. `tell` is what a reader should
    know of it.
    """

    name: str
    title: str
    config: list[str]
    options: list[str] = field(default_factory=list)
    sampler: str | None = None
    seeds: list[int] | None = None
    tell: str = ""


@dataclass(frozen=True)
class Measure:
    """A number, and what a claim says of it.

    `value` is an expression of `lit_models.study.claims`; `compare` is <= or >= and `to` a number, or both are absent: shown only.
    """

    what: str
    value: str
    compare: str | None = None
    to: float | None = None


@dataclass(frozen=True)
class Claim:
    """A sentence of the study that this project follows. It holds if all its measures do, and does not if none does."""

    number: int
    text: str
    measures: list[Measure]


@dataclass(frozen=True)
class Plan:
    """See configs/study.yaml, which has a word about each."""

    systems: dict[str, System]
    claims: list[Claim]
    dataset: str = "mnist"
    title: str = "Classic generative models compared"
    budget_minutes: float = 6.0
    samples: int = 10_000
    seeds: list[int] = field(default_factory=lambda: [0])
    at_images: list[int] = field(default_factory=list)
    samples_at_images: int = 2_000
    draws: int = 5_000
    features: str = "judge"
    judge: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    decided: bool = True

    def seeds_of(self, system: System) -> list[int]:
        """The system's own, or those of all."""
        return system.seeds or self.seeds


def read_plan(file: Path) -> Plan:
    """UserError, with the place, for a key that is not known or missing and for a value of another kind."""
    content = configs.read(file)
    if "extends" in content:  # what the other plan says, but for the keys that stand here
        content = configs.read(file.parent / content.pop("extends")) | content
    systems = {
        name: _build(System, {"name": name} | (given or {}), f"systems: {name}: in {file}")
        for name, given in content.pop("systems", {}).items()
    }
    claims = []
    for given in content.pop("claims", []):
        place = f"claim {given.get('number')} in {file}"
        measures = [_build(Measure, measure, place) for measure in given.pop("measures", [])]
        claims.append(_build(Claim, given | {"measures": measures}, place))
    if not systems:
        raise UserError(f"expected systems: in {file}", "found none", "see configs/study.yaml")
    for claim in claims:
        for measure in claim.measures:
            if (measure.compare is None) != (measure.to is None) or measure.compare not in (None, "<=", ">="):
                raise UserError(
                    f"expected compare: '<=' or '>=' with to: NUMBER, or neither, in claim {claim.number} in {file}",
                    f"got compare: {measure.compare} and to: {measure.to} for {measure.what!r}",
                )
    if content.get("features", "judge") not in ("judge", "inception"):
        raise UserError(f"expected features: judge or inception in {file}", f"got {content['features']}")
    return _build(Plan, content | {"systems": systems, "claims": claims}, str(file))


def _build(kind: Any, given: dict[str, Any], place: str) -> Any:
    known = {each.name: each for each in fields(kind)}
    for key in given:
        if key not in known:
            raise UserError(f"expected keys {', '.join(known)} for {place}", f"got {key}", did_you_mean(key, known))
    missing = [name for name, each in known.items() if each.default is MISSING and each.default_factory is MISSING and name not in given]
    if missing:
        raise UserError(f"expected {', '.join(missing)} for {place}", "found none")
    return kind(**given)
