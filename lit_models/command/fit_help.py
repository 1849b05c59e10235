"""`lightning fit --help`: our own options first, a meaning each, and the arguments of the model that a config names. It needs no torch.

`lightning fit --help all` goes on to Lightning's own help, which lists every option of the Trainer and of the callbacks.
"""

import ast
import itertools
import re
import textwrap
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from lit_models.training import configs

OF_DATA = ("image_shape", "classes", "class_names", "pixel_variance")  # lit_models.command.linked fills them in
HELP = """\
lightning {command} --config NAME [options]

what to train
  --config NAME             a config by name (lightning configs lists them) or a YAML file; a second one changes the first:
                            --config vae --config binarized
  --data NAME|PATH          a data set by name (mnist, fashion_mnist, digits, ...), or own images: a folder, .npz, .npy, .csv
  --model.ARGUMENT VALUE    an argument of the model; --config NAME --help lists those of its model
  --data.ARGUMENT VALUE     an argument of the data: root, batch_size, limit (number of images), epoch_images, binarize, seed
  --seed_everything N       seed of the weights (0)
  --weights FILE|RUN        start a new run from the weights of another
  --import MODULE           a Python module of your own, whose classes a config may then name

how long, and where
  --trainer.max_epochs N    length of the training; the learning rate falls over all of it
  --trainer.max_time T      such as 00:01:00:00 (days:hours:minutes:seconds); the run is saved, and can be resumed
  --trainer.accelerator A   cpu, gpu or auto; --trainer.devices N uses several
  --trainer.default_root_dir DIR   the folder of all runs, instead of logs
  --name NAME               is added to the name of the config, in the run's folder and in TensorBoard's legend

resume and look
  --ckpt_path last|best|FILE|RUN   resume a run in its own folder; last is the newest run of this config and data set
  --print_config            print every value that is in force, and train nothing
  --config NAME --help      this page, and the arguments of that config's model
  --help all                every option of Lightning's Trainer too (takes some seconds)

exit codes
  0 done    1 failed, with a traceback    2 wrong arguments, files or data, in three lines
  130, 143, 138 stopped by Ctrl-C, SIGTERM, SIGUSR1: saved, and resumed by --ckpt_path last"""


class Argument(NamedTuple):
    """An argument of a model's constructor, with its default as a config writes it, and its meaning; empty if the docstring has none."""

    name: str
    default: str
    meaning: str


def is_asked(arguments: list[str]) -> bool:
    """Whether these arguments ask for this page, and not for all of Lightning's options."""
    asked = [place for place, word in enumerate(arguments) if word in ("--help", "-h")]
    return bool(asked) and arguments[asked[0] + 1 : asked[0] + 2] != ["all"]


def help_of(command: str, files: list[Path]) -> str:
    """The page, with the arguments of the model that the config files name."""
    given: dict[str, Any] = {}
    class_path = ""
    for file in files:
        model = configs.read(file).get("model") or {}
        class_path = model.get("class_path", class_path)
        given |= model.get("init_args", {})
    found = arguments_of(class_path)
    if not found:
        return HELP.format(command=command)
    lines = [f"\n{class_path}, its arguments in {' + '.join(file.stem for file in files)} (--model.ARGUMENT VALUE)"]
    for meaning, group in itertools.groupby(found, key=lambda argument: argument.meaning):
        for argument in group:
            value = yaml_value(given[argument.name]) if argument.name in given else argument.default
            lines.append(f"  {argument.name:24} {'follows the data' if argument.name in OF_DATA else value}".rstrip())
        lines += textwrap.wrap(meaning, 110, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join([HELP.format(command=command), *lines])


def yaml_value(value: Any) -> str:
    """A value as a config writes it."""
    return yaml.safe_dump(value, default_flow_style=True).split("\n")[0]


def arguments_of(class_path: str) -> list[Argument]:
    """The arguments of one of our classes, read from its source; none for a class of the user's own."""
    module, _, name = class_path.rpartition(".")
    file = configs.SHIPPED.parent / f"{module.replace('.', '/')}.py"
    if not file.is_file():
        return []
    classes = [node for node in ast.parse(file.read_text()).body if isinstance(node, ast.ClassDef) and node.name == name]
    makers = [node for each in classes for node in each.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
    if not makers:
        return []
    meanings = meanings_in(ast.get_docstring(classes[0]) or "")
    taken = makers[0].args.args[1:]
    defaults = [None] * (len(taken) - len(makers[0].args.defaults)) + list(makers[0].args.defaults)
    return [Argument(each.arg, default_of(default), meanings.get(each.arg, "")) for each, default in zip(taken, defaults, strict=True)]


def default_of(node: ast.expr | None) -> str:
    """A default as a config writes it; the name of a constant, as Python does; empty if there is none."""
    if node is None:
        return ""
    try:
        return yaml_value(ast.literal_eval(node))
    except ValueError:
        return ast.unparse(node)


def meanings_in(docstring: str) -> dict[str, str]:
    """The meaning of each argument in the Args section of a docstring. Several names may share one: `image_shape, classes: ...`."""
    _, _, section = docstring.partition("Args:\n")
    found: dict[str, str] = {}
    for names, text in re.findall(r"^    (\w+(?:, \w+)*): (.*(?:\n {5,}.*)*)", section, flags=re.MULTILINE):
        found |= dict.fromkeys(names.split(", "), " ".join(text.split()).replace("`", ""))
    return found
