"""LightningCLI with run folders in which runs are resumed."""

import os
import re
import sys
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

import callbacks
from datamodules import ImageDataModule
from datamodules.named import NAMED
from datamodules.own import name_of
from datamodules.sources import data_root, provide
from lit_models import MODELS
from lit_models.checkpoints.atomic_io import read_checkpoint
from lit_models.checkpoints.loading import defaults_of, imported, state_for
from lit_models.checkpoints.runs import run_of
from lit_models.command import run_folders
from lit_models.command.curves import rewind
from lit_models.command.errors import UserError
from lit_models.command.identity import check_identity
from lit_models.command.linked import LINKED, value_from
from lit_models.command.parse_errors import explain_parse_error
from lit_models.command.run_record import RunRecord
from lit_models.command.silence import silence
from lit_models.training import configs

for _path in MODELS.values():  # a config may name a class by its short name once its module is imported
    import_module(_path.rpartition(".")[0])
NEEDED = (  # without these a run cannot be resumed exactly, and says nothing
    "callbacks.SeedEachStep",
    "callbacks.StopOnSignal",
    "callbacks.StopWhenNotFinite",
    "callbacks.Report",
)
TUNERS = ("LearningRateFinder", "BatchSizeFinder")


class Parser(LightningArgumentParser):
    """Errors in three lines, where jsonargparse prints 47 lines of usage before them, and no abbreviated options."""

    def _get_option_tuples(self, option_string: str) -> list[Any]:
        """The options that an abbreviation may mean: none, since a misspelt name must not be one."""
        return []

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error:  # one of several attempts to make sense of a value
            super().error(message, ex)
        raise explain_parse_error(message) from ex


class Command(LightningCLI):
    """`fit` and `validate`. Each call has a run folder of its own, or that of the run that `--ckpt_path` resumes."""

    run_name = "run"

    @classmethod
    def start(cls, run_name: str) -> None:
        cls.run_name = run_name
        silence()
        base = {"default_config_files": [str(configs.BASE)]}
        cls(
            LightningModule,
            LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            save_config_callback=RunRecord,
            parser_class=Parser,
            parser_kwargs={"fit": base, "validate": base, "prog": "lightning"},
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        known = LightningCLI.subcommands()
        return {name: known[name] | {"weights_only", "verbose"} for name in ("fit", "validate")}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_lightning_class_args(callbacks.KeepBestAndLast, "checkpoint")
        parser.add_argument("--import", type=str | None, default=None, help="A module of your own, whose classes a config may then name.")
        for name in LINKED:  # the model follows the data
            parser.link_arguments("data", f"model.init_args.{name}", partial(self._linked, name), apply_on="instantiate")
        parser.add_argument("--tune", type=dict | None, default=None, help="What lightning tune searches; fit passes over it.")
        parser.add_argument("--weights", type=str | None, default=None, help="Start a new run from the weights of this checkpoint or run.")

    def _linked(self, name: str, data: Any) -> Any:
        arguments = self.config[self.subcommand].model.get("init_args", {})
        try:
            return value_from(data, name, arguments, self.checkpoint)
        except Exception as error:  # jsonargparse would put a text of the data module into its own error
            self.refused.append(error)
            return arguments.get(name)

    def instantiate_classes(self) -> None:
        self.refused: list[Exception] = []
        try:
            super().instantiate_classes()
        finally:
            if self.refused:
                raise self.refused[0]

    def _parse_ckpt_path(self) -> None:
        """Lightning lets a checkpoint's hyperparameters override the config in silence; here a difference is an error."""

    def before_instantiate_classes(self) -> None:
        config = self.config[self.subcommand]
        self._check_trainer(config.trainer)
        first, *others = self.run_name.split("+")
        if first == "run":  # without a config file the run has the name of the model's class
            self.run_name = "+".join([config.model.class_path.split(".")[-1].lower(), *others])
        self.logs = self._logs(config.trainer)
        self.dataset = self._settle_data(config)
        self.checkpoint = self._settle_checkpoint(config)
        folder = (run_of(self.checkpoint) if self.checkpoint else None) or self._new_folder()
        if self.subcommand == "fit":
            os.environ[run_folders.PASSED_ON] = str(folder.resolve())
        self._settle_trainer(config.trainer, folder)
        config.checkpoint.dirpath = str(folder / "checkpoints")

    def _check_trainer(self, trainer: Any) -> None:
        if trainer.callbacks is not None and not isinstance(trainer.callbacks, list):
            trainer.callbacks = [trainer.callbacks]
        named = [callback.class_path for callback in trainer.callbacks or []]
        tuners = [path for path in named if path.split(".")[-1] in TUNERS]
        if tuners:
            raise UserError(
                "expected callbacks that leave the arguments of model and data as they are",
                f"got {tuners[0]}, whose result would be neither in force nor recorded",
                "give the value yourself: --model.lr or --data.batch_size",
            )
        if trainer.barebones:
            raise UserError(
                "expected a run with checkpoints, loggers and callbacks", "got --trainer.barebones true",
                "for a trial of the code: --trainer.fast_dev_run true",
            )  # fmt: skip
        gone = [path for path in NEEDED if path not in named]
        if gone and self.subcommand == "fit":
            message = (
                f"--trainer.callbacks replaces the shared list, and leaves out {', '.join(gone)}: --trainer.callbacks+=NAME adds to it"
            )
            print(f"warning  {message}", file=sys.stderr, flush=True)

    def _logs(self, trainer: Any) -> Path:
        """The folder of all runs: `--trainer.default_root_dir`, else a logger's save_dir that the user has named, else logs/."""
        if trainer.default_root_dir:
            folder = Path(trainer.default_root_dir)
            # In a run's own config.yaml it is the folder of that run: a new run gets one next to it.
            return folder.parents[2] if re.fullmatch(r"version_\d+", folder.name) and len(folder.parents) > 2 else folder
        for logger in loggers_of(trainer):
            given, by_default = logger.init_args.get("save_dir"), defaults_of(imported(logger.class_path)).get("save_dir")
            if given and given != by_default and Path(given) != run_folders.LOGS:
                return Path(given)
        return run_folders.LOGS

    def _settle_data(self, config: Any) -> str:
        """Make the data available, settle in the config which it is, and return the name that run folders have for it."""
        if not issubclass(imported(config.data.class_path), ImageDataModule):
            return config.data.class_path.split(".")[-1].lower()
        data = config.data.init_args
        if run_folders.PASSED_ON in os.environ:  # the process that started this one has settled it
            name = Path(os.environ[run_folders.PASSED_ON]).parent.name
            data.dataset = data.dataset or name
            return name
        data.dataset, reason = provide(data.dataset, *data_root(data.root))
        if reason:
            remedy = "set MNIST_ROOT to a folder that holds it"
            print(f"warning  {reason}; training on {data.dataset} instead: {remedy}", file=sys.stderr, flush=True)
        return name_of(data.dataset)

    def _settle_checkpoint(self, config: Any) -> Path | None:
        if config.ckpt_path is None:
            if self.subcommand == "validate":
                raise UserError("validate expected --ckpt_path last, best, a file or a run folder", "got none", "lightning fit trains one")
            return None
        checkpoint = run_folders.checkpoint_to_resume(str(config.ckpt_path), self.logs, self.run_name, self.dataset)
        config.ckpt_path = str(checkpoint)
        return checkpoint

    def _new_folder(self) -> Path:
        rank = next((int(os.environ[name]) for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK") if name in os.environ), 0)
        if rank > 0 and run_folders.PASSED_ON not in os.environ:
            return self.logs / self.run_name / self.dataset / "of_rank_0"  # never written: rank 0's folder is broadcast
        folder = run_folders.claim(self.logs, self.run_name, self.dataset)
        if run_folders.PASSED_ON not in os.environ:
            RunRecord.claimed = folder
        return folder

    def _settle_trainer(self, trainer: Any, folder: Path) -> None:
        """Loggers and checkpoints write into the run's folder."""
        trainer.default_root_dir = str(folder)
        if self.subcommand != "fit":
            trainer.logger = False
        for logger in loggers_of(trainer):
            known = set(logger.init_args.keys())
            place = {"save_dir": str(folder.parent), "name": "", "version": folder.name}
            if place.keys() <= known and "Wandb" not in logger.class_path:
                for key, value in place.items():
                    logger.init_args[key] = value
            elif "save_dir" in known:
                logger.init_args["save_dir"] = str(folder)
        if trainer.enable_progress_bar is False:
            trainer.callbacks = [callback for callback in trainer.callbacks or [] if callback.class_path != "callbacks.Progress"]

    def after_instantiate_classes(self) -> None:
        if isinstance(self.datamodule, ImageDataModule) and self.datamodule.dataset not in NAMED and self.trainer.is_global_zero:
            print(f"data     {self.datamodule.describe()}", flush=True)
        self.trainer.precision_plugin.convert_module(self.model)  # or float64 values of a checkpoint would be loaded into float32 first
        if self.checkpoint is not None:
            saved = read_checkpoint(self.checkpoint)
            fitting = self.subcommand == "fit"
            check_identity(self.checkpoint, saved, self.config[self.subcommand], self.model, self.datamodule, self.dataset, fitting)
            if fitting:
                self._resume(self.checkpoint, saved["global_step"], saved["loops"]["fit_loop"])
                if saved["global_step"] == 0:  # nothing to restore: the same seed makes the same beginning
                    self.config_init[self.subcommand].ckpt_path = None
        weights = self.config[self.subcommand].weights
        if weights is not None:
            file = run_folders.checkpoint_of(weights)
            self.model.load_state_dict(state_for(self.model, read_checkpoint(file)))
            print(f"weights  {file}", flush=True)

    def after_fit(self) -> None:
        if self.trainer.fast_dev_run and RunRecord.claimed:  # a trial of the code is no run; the folder of a resumed run stays
            run_folders.discard(RunRecord.claimed)

    def _resume(self, checkpoint: Path, step: int, loop: dict[str, Any]) -> None:
        epochs, trained = self.trainer.max_epochs, loop["epoch_progress"]["current"]["processed"]
        if epochs not in (None, -1) and trained >= epochs:
            raise UserError(
                f"expected --trainer.max_epochs above the {trained} that {checkpoint} has been trained for",
                f"got {epochs}",
                f"prolong it, for example --trainer.max_epochs {trained + 5}",
            )
        run = run_of(checkpoint)
        if run is not None and self.trainer.is_global_zero and not self.trainer.fast_dev_run:
            rewind(run, step=loop["epoch_loop.batch_progress"]["total"]["ready"])
            print(f"resume   from {checkpoint} after {step} steps", flush=True)


def loggers_of(trainer: Any) -> list[Any]:
    loggers = trainer.logger if isinstance(trainer.logger, list) else [trainer.logger]
    return [logger for logger in loggers if hasattr(logger, "class_path") and hasattr(logger, "init_args")]
