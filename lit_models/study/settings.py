"""The settings of a system of a study. What was made by other settings is made again, also if only the file of a config has changed."""

import hashlib
import json
from collections.abc import Collection
from typing import Any

from lit_models.study.plan import Plan, System
from lit_models.training import configs


def trained_as(system: System, plan: Plan) -> list[str]:
    """What is trained on what, whatever the length of the training: configs, options and data set."""
    return [*system.config, *system.options, plan.dataset]


def settings_of(system: System, plan: Plan) -> list[str]:
    """The settings that decide whether a system has to be trained and measured again. The last entry stands for what its configs say."""
    length = f"{plan.budget_minutes}" if system.training_steps is None else f"{system.training_steps} steps"
    return [*trained_as(system, plan), length, contents_of(system)]


def begun_as(system: System, plan: Plan) -> list[str]:
    """The settings that decide whether a training that was cut can be resumed: more minutes are no other training, more steps are."""
    return settings_of(system, plan) if system.training_steps is not None else [*trained_as(system, plan), contents_of(system)]


def agree(saved: Any, settings: list[Any]) -> bool:
    """Whether results were made by these settings. Those of older versions do not say what the configs contained."""
    return saved in (settings, settings[:-1])


def contents_of(system: System, without: Collection[str] = ("tune",)) -> str:
    """A hash of what the configs say, whatever their comments.

    Args:
        without: Keys and options that do not count, such as `tune` or `model.lr`.
    """
    said = [_options(configs.read(configs.find(name))) for name in system.config]
    known = [{name: value for name, value in each.items() if not {name, name.split(".")[0]} & set(without)} for each in said]
    return hashlib.sha256(json.dumps(known, sort_keys=True, default=str).encode()).hexdigest()[:12]


def _options(content: dict[str, Any], before: str = "") -> dict[str, Any]:
    """The values of a config by the names that they have as options: `init_args` is not said."""
    found: dict[str, Any] = {}
    for key, value in content.items():
        name = before if key == "init_args" else f"{before}.{key}" if before else str(key)
        found |= _options(value, name) if isinstance(value, dict) else {name: value}
    return found
