"""`lightning completion bash` and `lightning completion zsh`: a script that completes words without starting a program.

eval "$(lightning completion bash)"        # in ~/.bashrc; for zsh: eval "$(lightning completion zsh)" in ~/.zshrc
"""

import re

from datamodules.named import NAMES
from lit_models import MODELS
from lit_models.command.errors import UserError
from lit_models.command.fit_help import HELP, arguments_of
from lit_models.training import configs

RUN, SAMPLING = ["--import", "--pretrained"], ["--sampler", "--temperature", "--steps", "--guidance"]
OPTIONS = {  # of each command; a test compares them with --help
    "fit": [*dict.fromkeys(re.findall(r"--[a-z_]+(?:\.[a-z_]+)?", HELP)), "--data.root", "--data.batch_size", "--data.limit"],
    "validate": ["--config", "--ckpt_path", "--data", "--name"],
    "test": [*RUN, *SAMPLING, "--split", "--root", "--samples", "--draws"],
    "predict": [*RUN, "--root", "--split", "--output"],
    "sample": [*RUN, *SAMPLING, "--num", "--label", "--text", "--noise", "--seed", "--output"],
    "export": [*RUN, "--output", "--half"],
    "explore": [*RUN, "--output"],
    "runs": ["--json"],
    "compare": ["--import", "--output", "--num", "--seed"],
    "study": ["--config", "--add", "--output", "--only", "--seeds", "--on", "--address", "--root"],
    "tune": ["--config", "--trials", "--images", "--samples", "--data", "--root", "--output", "--storage"],
    "judge": ["--labels", "--data", "--config", "--split", "--output", "--make", "--num", "--root"],
    "configs": [],
    "board": ["--port", "--host"],
    "doctor": ["--root"],
    "completion": [],
}
WORDS = {"--sampler": "normal gaussian gmm class_gaussian class_gmm kde flow coupling shortcut autoregressive masked frequencies uniform",
         "--ckpt_path": "last best", "--split": "val test", "--trainer.accelerator": "auto cpu gpu"}  # fmt: skip

SCRIPT = """\
_lightning() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} command=${{COMP_WORDS[1]}} words=
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then COMPREPLY=($(compgen -W "{commands}" -- "$word")); return; fi
  case "$before" in
    --config|-c) COMPREPLY=($(compgen -W "{configs}" -- "$word") $(compgen -f -X '!*.yaml' -- "$word")); return;;
    --data) COMPREPLY=($(compgen -W "{data}" -- "$word") $(compgen -f -- "$word")); return;;
{values}
  esac
  if [ "$command" = completion ]; then COMPREPLY=($(compgen -W "bash zsh" -- "$word")); return; fi
  case "$word" in
    -*) case "$command" in
{options}
      esac
      COMPREPLY=($(compgen -W "$words --help" -- "$word"));;
    *) COMPREPLY=($(compgen -f -- "$word"));;
  esac
}}
complete -o filenames -F _lightning lightning"""


def run(command: str, arguments: list[str]) -> int:
    if arguments not in (["bash"], ["zsh"]):
        raise UserError(
            "expected lightning completion bash or zsh",
            f"got {' '.join(arguments) or 'no shell'}",
            'for example eval "$(lightning completion bash)"',
        )
    if arguments == ["zsh"]:
        print("autoload -Uz compinit bashcompinit && compinit && bashcompinit")
    print(script())
    return 0


def script() -> str:
    """The script for bash; zsh reads it by its own `bashcompinit`."""
    of_models = dict.fromkeys(f"--model.{argument.name}" for path in MODELS.values() for argument in arguments_of(path))
    options = OPTIONS | {"fit": [*OPTIONS["fit"], *of_models]}
    return SCRIPT.format(
        commands=" ".join(OPTIONS),
        configs=" ".join(name.removeprefix("overlays/") for name in configs.shipped() | configs.studies()),
        data=" ".join(NAMES),
        values="\n".join(f'    {option}) COMPREPLY=($(compgen -W "{words}" -- "$word")); return;;' for option, words in WORDS.items()),
        options="\n".join(f'      {name}) words="{" ".join(words)}";;' for name, words in options.items()),
    )
