"""`lightning` alone, `lightning --help` and `lightning --version`."""

from lit_models import __version__

WELCOME = """\
Lit-Generative: generative models on small images. Type first:
  lightning fit --config vqvae              train, with pictures at every epoch (some minutes on a CPU)
  lightning board                           look at them in TensorBoard
  lightning fit --config vqvae --ckpt_path last      resume after a stop
  lightning sample RUN --output samples.png          draw images; RUN is the folder that fit printed
  lightning test RUN                        measure on the test images
  lightning study                           train, measure and compare all models on one page (a night; --config study_quick: minutes)
  lightning configs                         what can be trained, one line each
  lightning fit --config vae --config overlays/fast --model.beta 4    change what you like
  lightning fit --help                      every option"""


def run(command: str, arguments: list[str]) -> int:
    print(f"lit-generative {__version__}" if command == "--version" else WELCOME)
    return 0
