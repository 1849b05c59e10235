"""`lightning fit` and `lightning validate`: configs by name without torch, then LightningCLI, and errors in three lines."""

import errno
import itertools
import os
import re
import sys
from pathlib import Path

from lit_models.checkpoints.runs import run_of
from lit_models.command.errors import UserError, explain, explained
from lit_models.command.fit_help import help_of, is_asked
from lit_models.command.own_classes import CLASS_PATH, add_to_path, check_class_paths, take_imports
from lit_models.command.run_folders import PASSED_ON, checkpoint_of, discard
from lit_models.training import configs
from lit_models.training.configs import did_you_mean

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)
ASKS = ("--help", "-h", "--print_config", "--model.help", "--data.help")


def run(command: str, arguments: list[str]) -> int:
    """Look the configs up before anything heavy is imported, then hand over to LightningCLI."""
    with explained():
        files, arguments = configs.take_configs(arguments)
        if is_asked(arguments):
            print(help_of(command, files))
            return 0
        arguments = [word for place, word in enumerate(arguments) if word != "all" or arguments[place - 1] not in ("--help", "-h")]
        files, arguments = with_config_of_run(files, arguments)
        given, arguments = take_name(arguments)
        arguments = name_the_data(arguments)
        asks = any(word.startswith(ASKS) for word in arguments)
        if not files and not asks and not any(word.startswith("--model") for word in arguments):
            raise UserError(
                f"expected lightning {command} --config NAME", "got no config", "lightning configs lists them; vqvae is a good start"
            )
        name = "+".join([configs.run_name(files) if files else "run", *given])
        add_to_path(Path.cwd(), *(file.parent for file in files))
        check_class_paths(files, arguments, take_imports(arguments))
    sys.argv = [sys.argv[0], command, *arguments]  # Lightning starts further processes with these words

    import torch

    from lit_models.command.cli import Command
    from lit_models.command.run_record import RunRecord

    torch.set_flush_denormal(True)  # before torch starts its threads; subnormal numbers made steps of a flow five times as long
    RunRecord.begun, RunRecord.claimed = False, None
    passed_on = os.environ.get(PASSED_ON)
    try:
        Command.start(name)
    except BaseException as error:
        if RunRecord.claimed and not RunRecord.begun:
            discard(RunRecord.claimed)
        explanation = explain_stop(error) or (None if RunRecord.begun else explain(error))
        if explanation is None or explanation is error:
            raise
        raise explanation from error
    finally:
        torch.set_flush_denormal(False)
        if passed_on is None:
            os.environ.pop(PASSED_ON, None)
    return 0


def with_config_of_run(files: list[Path], arguments: list[str]) -> tuple[list[Path], list[str]]:
    """Without a config, `--ckpt_path RUN` resumes a run by the config.yaml in its own folder."""
    words = [word.partition("=")[2] for word in arguments if word.startswith("--ckpt_path=")]
    words += [following for word, following in itertools.pairwise(arguments) if word == "--ckpt_path"]
    if files or any(word.startswith("--model") for word in arguments) or not words or words[0] in ("last", "best"):
        return files, arguments
    run = run_of(checkpoint_of(words[0], ("last", "best")))
    return ([], arguments) if run is None else ([run / "config.yaml"], [f"--config={run / 'config.yaml'}", *arguments])


def take_name(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The name that `--name X` gives the run, at most one, and the other arguments."""
    words, given, others = iter(arguments), [], []
    for word in words:
        flag, equals, value = word.partition("=")
        if flag != "--name":
            others.append(word)
            continue
        given = [value if equals else next(words, "")]
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", given[0]):
            raise UserError("--name expected letters, digits, and . _ - between them", f"got {given[0]!r}", "such as --name beta4")
    return given, others


def name_the_data(arguments: list[str]) -> list[str]:
    """`--data mydata/` and `--data fashion_mnist` mean `--data.dataset`; a class path and a piece of a config stay what they are."""
    words, named = iter(arguments), []
    for word in words:
        flag, equals, value = word.partition("=")
        if flag == "--data":
            value = value if equals else next(words, "")
            is_class = not Path(value).exists() and (CLASS_PATH.fullmatch(value) or value[:1].isupper())
            word = f"--data={value}" if is_class or value.startswith("{") else f"--data.dataset={value}"
        named.append(word)
    return named


def explain_stop(error: BaseException) -> UserError | None:
    """The end of a run that had begun, in three lines, if its user can mend it; a traceback is better for all else."""
    from callbacks.stop_when_not_finite import NotFinite

    if isinstance(error, NotFinite):
        return UserError("expected losses, gradients, weights and buffers to be finite", *str(error).split(": ", 1))
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return UserError(
            f"expected access to {error.filename or 'the disk'}, and room on it",
            f"got {error.strerror}",
            "files written before are whole: make room or give access, then resume with --ckpt_path last",
        )
    return explain_metric(str(error))


def explain_metric(message: str) -> UserError | None:
    """The name of a metric that a callback or a schedule monitors and that is not logged."""
    found = (
        re.search(r"metric `([^`]+)` which is not available.*following: (.+)", message, flags=re.DOTALL)
        or re.search(r"monitor='([^']+)'\)` could not find the monitored key.*: \[(.+?)\]", message, flags=re.DOTALL)
        or re.search(r"metric (\S+) which is not available. Available metrics are: \[(.*?)\]", message, flags=re.DOTALL)
    )
    if found is None:
        return None
    known = [name for name in re.findall(r"[`']([^`']+)[`']", found[2]) if "/" in name]
    alike = next((name for name in known if name.replace("/", "_") == found[1]), None)
    remedy = f"did you mean {alike}?" if alike else did_you_mean(found[1], known)
    return UserError(
        f"expected a metric that is logged: {', '.join(known)}", f"got {found[1]}", f"{remedy} then resume with --ckpt_path last"
    )
