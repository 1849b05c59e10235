"""jsonargparse's messages in three lines, with the nearest name that exists."""

import re

from lit_models.command.errors import UserError, did_you_mean


def explain_parse_error(message: str) -> UserError:
    """What was expected, what came, what to do."""
    text = " ".join(message.split())
    for pattern, answer in PATTERNS:
        if found := re.search(pattern, text):
            return answer(found)
    return UserError(text[:400], "", "lightning fit --help lists all options")


def _unknown_key(found: re.Match[str]) -> UserError:
    key = found["key"].strip("'\" ")
    owner = (found.groupdict().get("owner") or "").strip("'\" ")
    known = parameters_of(owner)
    return UserError(
        f"expected a parameter of {owner.split('.')[-1] or 'the program'}" + (f": {', '.join(known)}" if known else ""),
        f"got {key!r}",
        did_you_mean(key.split(".")[-1], known) or "lightning fit --help lists all options",
    )


def parameters_of(owner: str) -> list[str]:
    """Constructor arguments of a class that has been imported; of the Trainer for keys of `trainer`."""
    import inspect
    import sys

    from lightning.pytorch import Trainer

    if owner in ("trainer", "Trainer"):
        return list(inspect.signature(Trainer.__init__).parameters)[1:]
    module, _, name = owner.rpartition(".")
    found = getattr(sys.modules.get(module), name, None)
    return list(inspect.signature(found).parameters) if isinstance(found, type) else []


PATTERNS = [
    (r"Key '(?P<key>[^']+)' is not expected", _unknown_key),
]
