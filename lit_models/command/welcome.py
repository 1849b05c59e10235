"""`lightning` alone, `lightning --help` and `lightning --version`."""

from lit_models import __version__

WELCOME = """\
Lit-Generative: generative models on small images. Type first:
  lightning fit --config vqvae              train, with pictures at every epoch (some minutes on a CPU)
  lightning board                           look at them in TensorBoard
  lightning fit --config vqvae --ckpt_path last      resume after a stop
  lightning sample RUN --output samples.png          draw images; RUN is the folder that fit printed
  lightning test RUN                        measure on the validation images
  lightning study                           train, measure and compare all models on one page (a night; --config study_quick: minutes)
  lightning configs                         what can be trained, one line each
  lightning fit --config vae --help         what can be changed: options, and the arguments of a model
  lightning --help                          all commands"""

HELP = """\
lightning COMMAND [options]; lightning COMMAND --help lists the options of a command

train
  fit          train a model that a config names, or resume a training
  validate     the losses of a checkpoint on the validation images
  tune         search the numbers of a family by trials
  study        train, measure and compare systems on one page
look
  board        TensorBoard, with the pictures of every epoch
  runs         a table of the runs in a folder
  compare      several runs in one table and one picture
  explore      a page in which a trained decoder is played with, in any browser
  configs      what can be trained
use and measure
  sample       images of a trained model
  predict      codes of the test images
  test         all measures of one or several models
  judge        the same measures for samples of any other program
  export       a trained model for other programs: ONNX, torch.export, safetensors
this machine
  doctor       versions, data, devices, folders, and what is wrong with them
  completion   words completed in bash or zsh: eval "$(lightning completion bash)"

exit codes
  0 done    1 failed, with a traceback; or doctor has found something    2 wrong arguments, files or data, in three lines
  130, 143, 138 stopped by Ctrl-C, SIGTERM, SIGUSR1: the run is saved, and --ckpt_path last resumes it"""


def run(command: str, arguments: list[str]) -> int:
    print(f"lit-generative {__version__}" if command == "--version" else HELP if command in ("--help", "-h") else WELCOME)
    return 0
