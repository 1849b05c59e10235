"""Commands that are answered without torch."""

import subprocess
import sys
from pathlib import Path

from lit_models import __version__
from lit_models.command.errors import UserError
from lit_models.training import configs as shipped_configs

WELCOME = """\
Lit-Generative: classic generative models on MNIST. Type first:
  lightning fit --config vqvae              train, with pictures at every epoch (some minutes on a CPU)
  lightning board                           look at them in TensorBoard
  lightning fit --config vqvae --ckpt_path last      go on after a stop
  lightning sample RUN --output samples.png          draw images; RUN is the folder that fit printed
  lightning test RUN                        measure on the test images
  lightning study                           train, measure and compare all models on one page (two hours; --config study_quick: minutes)
  lightning configs                         what can be trained, a line each
  lightning fit --config vae --config overlays/fast --model.beta 4    change what you like
  lightning fit --help                      every option"""


def welcome(arguments: list[str]) -> int:
    print(WELCOME)
    return 0


def version(arguments: list[str]) -> int:
    print(f"lit-generative {__version__}")
    return 0


def configs(arguments: list[str]) -> int:
    """Name and first comment of each shipped config, of models, overlays and studies."""
    for name, file in (shipped_configs.shipped() | shipped_configs.studies()).items():
        print(f"{name:20} {file.read_text().splitlines()[0].lstrip('# ')}")
    return 0


def board(arguments: list[str]) -> int:
    """TensorBoard on loopback with every epoch's images: its default keeps ten of them. Further options go to it."""
    folder = arguments.pop(0) if arguments and not arguments[0].startswith("-") else "logs"
    if not Path(folder).is_dir():
        raise UserError("expected a folder of runs", f"got {folder!r}, which is not there", "train first: lightning fit --config vqvae")
    options = ["--logdir", folder, "--host", "127.0.0.1", "--samples_per_plugin", "images=500", "--reload_multifile", "true"]
    try:
        return subprocess.run([sys.executable, "-m", "tensorboard.main", *options, *arguments], check=False).returncode
    except KeyboardInterrupt:
        return 0
