"""The plan of a study, read from a YAML file: systems, budget, and claims with their measures and thresholds."""

from collections.abc import Iterator
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from lit_models.training import configs


@dataclass(frozen=True)
class System:
    """One model as the study trains it.

    Args:
        config: Names of configs, as `lightning fit --config` takes them.
        options: Further arguments of `lightning fit`.
        sampler: The sampler of the system's main row; by default the model's own default.
        temperatures: Further rows for the main sampler, at these temperatures.
        steps, guidance: Further rows for the main sampler, with these numbers of steps and these strengths of guidance.
        seeds: Seeds of this system; by default those of the plan.
        note: A remark for readers of the page.
        seconds: Of training, to which all schedules are scaled; by default the length is that of the config.
        equal: Whether the system is also trained for each of the plan's `budgets`. These variants are measured by the main sampler and by
            those in `compared`.
        widths: Options whose numbers are multiplied by the factors of the plan's `growth`; each factor is a variant. The factor 1 is none
            where the plan's `budgets` have the seconds of `growth`, because it would be the same training.
        variant_of, factor, tuned, training_steps: The system that this one is a variant of, the factor of its width, whether its settings
            were searched, and the steps of a training whose length is in seconds. A plan does not set them.
    """

    name: str
    title: str
    config: list[str]
    options: list[str] = field(default_factory=list)
    sampler: str | None = None
    temperatures: list[float] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    guidance: list[float] = field(default_factory=list)
    seeds: list[int] | None = None
    note: str = ""
    seconds: float | None = None
    equal: bool = False
    compared: list[str] = field(default_factory=list)
    widths: dict[str, int] = field(default_factory=dict)
    variant_of: str | None = None
    factor: float | None = None
    tuned: bool = False
    training_steps: int | None = None


@dataclass(frozen=True)
class Measure:
    """A number that a claim depends on, and its threshold.

    Args:
        value: An expression of `lit_models.study.expressions`.
        compare, to: `<=` or `>=`, and a number. If both are absent, the value is shown only.
    """

    what: str
    value: str
    compare: str | None = None
    to: float | None = None


@dataclass(frozen=True)
class Claim:
    """A sentence of the report. It holds if all its measures hold, and does not hold if none does."""

    number: int
    text: str
    measures: list[Measure]


@dataclass(frozen=True)
class Growth:
    """Systems at several widths: each is trained for these seconds at each factor of its `widths`, with its first seed."""

    factors: list[float] = field(default_factory=list)
    seconds: float = 60


@dataclass(frozen=True)
class Tuning:
    """The settings of each system that is `equal` are searched by so many trials, each of these seconds with the defaults.

    The search is that of `lightning tune`. The best are then trained for the same seconds, as a variant of the system. With 0 trials there
    is no search.
    """

    trials: int = 0
    seconds: float = 60


@dataclass(frozen=True)
class Plan:
    """The whole plan; configs/study.yaml and study_claims.yaml explain each key.

    Args:
        budgets: Seconds of training, and the seeds that are trained for that long; for systems that are `equal`.

    `cpus_per_task` and `gpus_per_task` are what Ray reserves for a training; a task on Ray has as many threads as cores.
    """

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
    temperatures_of_curve: list[float] = field(default_factory=lambda: [0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.15])
    features: str = "own"
    judge: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    decided: bool = True
    budgets: dict[float, list[int]] = field(default_factory=dict)
    growth: Growth = field(default_factory=Growth)
    tuning: Tuning = field(default_factory=Tuning)
    cpus_per_task: int = 1
    gpus_per_task: float = 0

    def seeds_of(self, system: System) -> list[int]:
        """The seeds of a system: its own, or those of the plan."""
        return system.seeds or self.seeds

    def with_seeds(self, seeds: list[int]) -> "Plan":
        """The same plan with these seeds for every system; growth has the first of them."""
        systems = {name: replace(system, seeds=None) for name, system in self.systems.items()}
        return replace(self, systems=systems, seeds=seeds, budgets=dict.fromkeys(self.budgets, seeds))

    def tuned(self) -> list[System]:
        """The systems whose settings are searched."""
        return [system for system in self.systems.values() if system.equal and self.tuning.trials > 0]

    def with_variants(self) -> "Plan":
        """The same plan, in which each budget and each width of a system is a system of its own that follows it."""
        return replace(self, systems={each.name: each for system in self.systems.values() for each in (system, *self._variants(system))})

    def with_tuned(self, system: System, values: dict[str, Any]) -> "Plan":
        """The same plan with a variant of a system that has the values that were found."""
        options = [f"--{name}={value}" for name, value in values.items()]
        found = replace(
            _variant(system),
            name=f"{system.name}_tuned",
            title=f"{system.title}, tuned",
            options=[*system.options, *options],
            seconds=self.tuning.seconds,
            seeds=self.seeds_of(system)[:1],
            tuned=True,
            note=f"best of {self.tuning.trials} trials on validation images: {' '.join(options)}",
        )
        return replace(self, systems=self.systems | {found.name: found})

    def _variants(self, system: System) -> Iterator[System]:
        plain = _variant(system)
        for seconds, seeds in self.budgets.items() if system.equal else ():
            yield replace(plain, name=f"{system.name}_{seconds:g}s", title=f"{system.title}, {seconds:g} s", seconds=seconds, seeds=seeds)
        for factor in self.growth.factors if system.widths else ():
            if factor == 1 and system.equal and self.growth.seconds in self.budgets:
                continue
            widths = system.widths if factor != 1 else {}
            options = [f"--{option}={max(1, round(factor * width))}" for option, width in widths.items()]
            yield replace(
                plain,
                name=f"{system.name}_x{factor:g}",
                title=f"{system.title}, {factor:g} x width",
                options=[*system.options, *options],
                compared=[],
                seconds=self.growth.seconds,
                factor=factor,
                seeds=self.seeds_of(system)[:1],
            )


def _variant(system: System) -> System:
    """A system as it is trained at another length, width or with other settings: only its main samplers are measured."""
    return replace(system, temperatures=[], steps=[], guidance=[], equal=False, widths={}, note="", variant_of=system.name)


def read_plan(file: Path) -> Plan:
    """The plan in a file.

    A plan may extend another, `extends: NAME`: it has all keys of the other, except for those that it sets itself, and `systems+` adds to
    the systems of the other or changes some of them. The other is looked for next to the plan first, and then among the shipped plans.

    Raises:
        ValueError: If a key is unknown or missing, or a value is not admissible; the message names the place.
    """
    content = _extended(file, [])
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
        raise ValueError(f"expected systems: in {file}\nfound none\nsee configs/study.yaml")
    for claim in claims:
        for measure in claim.measures:
            if (measure.compare is None) != (measure.to is None) or measure.compare not in (None, "<=", ">="):
                raise ValueError(
                    f"expected compare: '<=' or '>=' with to: NUMBER, or neither, in claim {claim.number} in {file}\n"
                    f"got compare: {measure.compare} and to: {measure.to} for {measure.what!r}"
                )
    for key, kind in (("growth", Growth), ("tuning", Tuning)):
        if content.get(key) is not None:
            content[key] = _build(kind, content[key], f"{key}: in {file}")
    if content.get("features", "own") not in ("own", "inception"):
        raise ValueError(f"expected features: own or inception in {file}\ngot {content['features']}")
    return _build(Plan, content | {"systems": systems, "claims": claims}, str(file))


def _extended(file: Path, extending: list[Path]) -> dict[str, Any]:
    """The keys of a plan, and below them those of the plan that it extends."""
    if file.resolve() in extending:
        raise ValueError(f"expected extends: in {extending[-1]} to name another plan\ngot {file}, which extends this one")
    content = configs.read(file)
    if "extends" not in content:
        return content
    other = configs.find(str(content.pop("extends")), folder=file.parent)
    below = _extended(other, [*extending, file.resolve()])
    added = content.pop("systems+", None)
    if added is not None:
        content["systems"] = below.get("systems", {}) | added
    return below | content


def _build(kind: Any, given: dict[str, Any], place: str) -> Any:
    known = {each.name: each for each in fields(kind)}
    for key in given:
        if key not in known:
            lines = [f"expected keys {', '.join(known)} for {place}", f"got {key}", configs.did_you_mean(key, known)]
            raise ValueError("\n".join(line for line in lines if line))
    missing = [name for name, each in known.items() if each.default is MISSING and each.default_factory is MISSING and name not in given]
    if missing:
        raise ValueError(f"expected {', '.join(missing)} for {place}\nfound none")
    return kind(**given)
