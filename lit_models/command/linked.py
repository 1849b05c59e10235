"""Arguments of a model that the data decides: shape of the images, number and names of the classes, variance of
the pixels.

Each is a link of LightningCLI from the data module, which is made first, to the model. A model that does not take the argument is left
alone, and so is data that does not say it (`datamodules.contracts.DescribesImages`).
"""

import re
import sys
from pathlib import Path
from typing import Any

from lit_models.checkpoints.atomic_io import read_checkpoint
from lit_models.command.errors import UserError
from lit_models.training import configs

LINKED = ("image_shape", "classes", "pixel_variance", "class_names")


def value_from(data: Any, name: str, arguments: Any, resumed: Path | None = None) -> Any:
    """The value of a linked argument. It is written into `arguments`, those of the model, so that the run's config.yaml has it.

    Args:
        resumed: The checkpoint that is resumed. Its model keeps its own variance of the pixels, which weighs a term of the loss: version
            0.1.0 had that of MNIST for all data.
    Raises:
        UserError: If the user has given another value.
    """
    given = arguments.get(name)
    if name not in arguments or not hasattr(data, name):
        return given
    found = getattr(data, name)
    if name == "pixel_variance" and resumed is not None:
        found = read_checkpoint(resumed).get("hyper_parameters", {}).get(name, found)
    if name == "classes" and given is None and is_named(name):
        return None  # the user leaves the labels out
    if isinstance(found, tuple) and given is not None:
        given = tuple(given)
    if given != found and is_named(name):
        raise UserError(
            f"expected model.{name} {found}, which the data has", f"got {given}", "leave it out: the data says it, and the model follows"
        )
    arguments[name] = found
    return found


def is_on_the_command_line(name: str) -> bool:
    """Whether the command line gives this argument of the model."""
    return any(re.match(rf"--model\.(init_args\.)?{name}(=|$)", word) for word in sys.argv)


def is_named(name: str) -> bool:
    """Whether the command line or a config file gives this argument of the model."""
    if is_on_the_command_line(name):
        return True
    files = [Path(word.partition("=")[2]) for word in sys.argv if word.startswith("--config=")]
    return any(name in (configs.read(file).get("model") or {}).get("init_args", {}) for file in files)
