"""jsonargparse's messages in three lines, with the nearest name that exists."""

import inspect
import re
from collections.abc import Iterator

from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer

from lit_models.checkpoints.older_versions import ARGUMENTS
from lit_models.command.errors import UserError
from lit_models.training.configs import did_you_mean

HELP = "lightning fit --config NAME --help lists what can be changed"
TOP = ("config", "model", "data", "trainer", "seed_everything", "ckpt_path", "weights", "class_path", "init_args")


def explain_parse_error(message: str) -> UserError:
    """What was expected (with the nearest match), what came, what to do."""
    text = " ".join(message.split())
    if found := re.search(r"[Oo]ption '([^']+)'|unrecognized arguments: (\S+)", text):
        key = (found[1] or found[2]).lstrip("-").split("=")[0]
        known, name = parameters(of_trainer=key.startswith("trainer.")), key.split(".")[-1]
        if "." not in key and key in inspect.signature(Trainer).parameters:
            return UserError("expected an option that exists", f"got --{key}", f"did you mean --trainer.{key}?")
        hint = f"{ARGUMENTS[name]} has taken its place" if name in ARGUMENTS else did_you_mean(name, known) or HELP
        if name in known:
            hint = f"another class has {name}, the one in use has not: see --model.help CLASS, and the overlays on the command line"
        return UserError("expected a key that exists", f"got {key!r}", hint)
    if found := re.search(r'Parser key "([^"]+)": Expected an? (.+?)\. Got value: (.+?)(?: - |$)', text):
        return UserError(f"{found[1]} expected {readable(found[2])}", f"got {found[3]}", HELP)
    # A wrong value of one argument, inside the class that takes it.
    if found := re.search(r'class_path \'[^\']+\': Parser key "([^"]+)":.*?(Literal\[.+?\]).*?Given value: (\S+)', text):
        return UserError(f"{found[1]} expected {readable(found[2])}", f"got {found[3]}", HELP)
    if found := re.search(r"Problem with given class_path '([^']+)': (.+?)(?: - |$)", text):
        return UserError(
            "expected a class that can be imported", f"got {found[1]}: {found[2]}"[:300], did_you_mean(found[1], class_paths()) or HELP
        )
    if found := re.search(r'Parser key "([^"]+)":.*Subtypes: [\[(](.+?)[\])] Errors:.*Given value: (.+)$', text):
        return UserError(f"{found[1]} expected {readable(found[2])}", f"got {found[3]}"[:300], HELP)
    return UserError(text[:300], "", HELP)


def readable(type_name: str) -> str:
    """`<class 'int'>` is int, a Literal its choices."""
    if choices := re.search(r"Literal\[(.+?)\]", type_name):
        return f"one of {choices[1]}"
    return re.sub(r"<class '([^']+)'>", lambda found: found[1].replace("NoneType", "null"), type_name)


def offspring(kind: type) -> Iterator[type]:
    child: type
    for child in kind.__subclasses__():
        yield child
        yield from offspring(child)


def class_paths() -> list[str]:
    """Models, data modules and callbacks that have been imported, by the shortest path that finds them."""
    paths = [f"{child.__module__}.{child.__name__}" for kind in (LightningModule, LightningDataModule) for child in offspring(kind)]
    return paths + [
        f"callbacks.{child.__name__}" for child in offspring(Callback) if child.__module__.startswith(("callbacks", "lit_models.sampling"))
    ]


def parameters(of_trainer: bool) -> list[str]:
    """Names of the Trainer's constructor arguments, or of every class's that a config may name."""
    if of_trainer:
        return list(inspect.signature(Trainer).parameters)
    kinds = [Trainer, *offspring(LightningModule), *offspring(LightningDataModule), *offspring(Callback)]
    return [name for kind in kinds for name in inspect.signature(kind).parameters] + list(TOP)
