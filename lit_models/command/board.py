"""`lightning board`: TensorBoard on this machine with the images of every epoch; by default it keeps ten of them."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lit_models.command.errors import UserError


def run(command: str, arguments: list[str]) -> int:
    """Further options go to TensorBoard. It runs in this process, so that it ends when this process is ended."""
    folder = arguments.pop(0) if arguments and not arguments[0].startswith("-") else "logs"
    if not Path(folder).is_dir():
        raise UserError("expected a folder of runs", f"got {folder!r}, which is not there", "train first: lightning fit --config vqvae")
    from lit_models.command.board_layout import describe_runs

    try:
        describe_runs(Path(folder))
    except OSError as error:
        print(f"warning  HPARAMS shows all arguments, and CUSTOM SCALARS is missing: {error}", file=sys.stderr, flush=True)
    options = ["--logdir", folder, "--host", "127.0.0.1", "--samples_per_plugin", "images=500", "--reload_multifile", "true"]
    sys.argv = ["tensorboard", *options, *arguments]
    from tensorboard.main import run_main
    from tensorboard.plugins.projector.projector_plugin import ProjectorPlugin

    answers = ProjectorPlugin.get_plugin_apps
    ProjectorPlugin.get_plugin_apps = lambda plugin: {route: with_plus(app) for route, app in answers(plugin).items()}
    try:
        run_main()
    except KeyboardInterrupt:
        pass
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def with_plus(app: Callable[..., Any]) -> Callable[..., Any]:
    """An answer of the projector. Its page writes names of runs into addresses as they are, where the `+` of `vae+beta4` means a space."""
    return lambda environ, respond: app(environ | {"QUERY_STRING": environ["QUERY_STRING"].replace("+", "%2B")}, respond)
