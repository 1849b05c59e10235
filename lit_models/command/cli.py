"""LightningCLI with run folders that are resumed in place."""

import os
import re
import sys
from pathlib import Path
from typing import Any, NoReturn

from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from torch.optim.lr_scheduler import LambdaLR

import callbacks
from datamodules import MNISTDataModule
from datamodules.sources import provide
from lit_models import ae, anchored, gan, pca_ae, pca_vae, vae, vae_gan, vqvae  # noqa: F401
from lit_models.checkpoints.atomic_io import read_checkpoint
from lit_models.command import runs
from lit_models.command.curves import rewind
from lit_models.command.errors import UserError
from lit_models.command.parse_errors import explain_parse_error
from lit_models.command.quiet import quiet
from lit_models.evaluation import classifier  # noqa: F401
from lit_models.training import configs
from lit_models.training.schedules import set_base_rates


class Parser(LightningArgumentParser):
    """Errors in three lines, where jsonargparse prints 47 lines of usage before them."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error:  # one of several attempts to make sense of a value
            super().error(message, ex)
        raise explain_parse_error(message) from ex


class RunRecord(SaveConfigCallback):
    """Writes config.yaml into the run's folder, and into each checkpoint what class and data it belongs to.

    A resumed run's learning rates are those of its config: an optimiser brings those with which it was saved. `claimed` is the folder that
    this process made, `begun` whether a batch has been trained in it.
    """

    claimed: Path | None = None
    begun = False
    base_rates: tuple[list[float], ...] = ()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit" and trainer.is_global_zero:
            config = self.config.clone()
            config.ckpt_path = config.weights = None  # what a run is, not how this part of it was started
            file = Path(trainer.default_root_dir) / self.config_filename
            file.parent.mkdir(parents=True, exist_ok=True)
            self.parser.save(config, file, skip_unset=False, overwrite=True, multifile=False)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.base_rates = tuple(list(schedule.base_lrs) for schedule in schedules_of(trainer))  # before anything is restored

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.ckpt_path:
            for schedule, rates in zip(schedules_of(trainer), self.base_rates, strict=True):
                set_base_rates(schedule, rates)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        RunRecord.begun = True

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["run"] = {
            "model": self.config.model.class_path,
            "data": self.config.data.class_path,
            "dataset": dataset_of(trainer.datamodule),
            "seed": self.config.seed_everything,
        }


class Command(LightningCLI):
    """`fit` and `validate`; one run folder a call, or the one that `--ckpt_path` goes on in."""

    run_name = "run"

    @classmethod
    def start(cls, run_name: str) -> None:
        cls.run_name = run_name
        quiet()
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
        parser.add_argument("--weights", type=str | None, default=None, help="Start a new run from the weights of this checkpoint or run.")

    def _parse_ckpt_path(self) -> None:
        """Lightning lets a checkpoint's hyperparameters override the config in silence; here a difference is an error."""

    def before_instantiate_classes(self) -> None:
        config = self.config[self.subcommand]
        if self.run_name == "run":  # no config file: the model's class names the run
            self.run_name = config.model.class_path.split(".")[-1].lower()
        self.checkpoint = self._settle_checkpoint(config, self._settle_data(config))
        resumed = runs.run_of(self.checkpoint) if self.checkpoint else None
        if resumed is None:
            resumed = self._new_folder(config)
        if self.subcommand == "fit":
            os.environ[runs.PASSED_ON] = str(resumed.resolve())
        self._settle_trainer(config.trainer, resumed)
        config.checkpoint.dirpath = config.checkpoint.dirpath or str(resumed / "checkpoints")

    def _settle_data(self, config: Any) -> str:
        """Make the data available; returns the name of the set, which the config has from now on."""
        if config.data.class_path.split(".")[-1] != MNISTDataModule.__name__:
            return config.data.class_path.split(".")[-1].lower()
        data = config.data.init_args
        if runs.PASSED_ON in os.environ:  # the process that started this one has settled it
            data.dataset = Path(os.environ[runs.PASSED_ON]).parent.name
            return data.dataset
        root = Path(data.root or os.environ.get("MNIST_ROOT") or "data")
        data.dataset, reason = provide(data.dataset, root, data.fallback)
        if reason:
            remedy = "set MNIST_ROOT to a folder that holds it, or go on with less"
            print(f"warning  {reason}; training on {data.dataset} instead: {remedy}", file=sys.stderr, flush=True)
        return data.dataset

    def _settle_checkpoint(self, config: Any, dataset: str) -> Path | None:
        self.dataset = dataset
        if config.ckpt_path is None:
            if self.subcommand == "validate":
                raise UserError("validate expected --ckpt_path last, best, a file or a run folder", "got none", "lightning fit trains one")
            return None
        checkpoint = runs.resolve(str(config.ckpt_path), self.run_name, dataset)
        config.ckpt_path = str(checkpoint)
        return checkpoint

    def _new_folder(self, config: Any) -> Path:
        rank = next((int(os.environ[name]) for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK") if name in os.environ), 0)
        if rank > 0 and runs.PASSED_ON not in os.environ:
            return runs.LOGS / self.run_name / self.dataset / "of_rank_0"  # never written: rank 0's folder is broadcast
        folder = runs.claim(self.run_name, self.dataset)
        if runs.PASSED_ON not in os.environ:
            RunRecord.claimed = folder
        return folder

    def _settle_trainer(self, trainer: Any, folder: Path) -> None:
        """Loggers and checkpoints write into the run's folder."""
        trainer.default_root_dir = str(folder)
        if self.subcommand != "fit":
            trainer.logger = False
        for logger in trainer.logger if isinstance(trainer.logger, list) else []:
            if logger.class_path.split(".")[-1] in ("TensorBoardLogger", "MetricsCSV"):
                for key, value in {"save_dir": str(folder.parent), "name": "", "version": folder.name}.items():
                    logger.init_args[key] = value
        if trainer.enable_progress_bar is False:
            trainer.callbacks = [callback for callback in trainer.callbacks or [] if callback.class_path != "callbacks.Progress"]

    def after_instantiate_classes(self) -> None:
        self.trainer.precision_plugin.convert_module(self.model)  # or what a checkpoint has in float64 would be loaded into float32 first
        if self.checkpoint is not None:
            saved = read_checkpoint(self.checkpoint)
            self._check_identity(saved)
            if self.subcommand == "fit":
                self._resume(self.checkpoint, saved["global_step"], saved["loops"]["fit_loop"])
                if saved["global_step"] == 0:  # nothing to restore: the same seed makes the same beginning
                    self.config_init[self.subcommand].ckpt_path = None
        weights = self.config[self.subcommand].weights
        if weights is not None:
            file = runs.resolve(weights)
            self.model.load_state_dict(read_checkpoint(file)["state_dict"])
            print(f"weights  {file}", flush=True)

    def after_fit(self) -> None:
        if self.trainer.fast_dev_run and RunRecord.claimed:  # a trial of the code, not a run; a resumed run's folder stays
            runs.discard(RunRecord.claimed)

    def _resume(self, checkpoint: Path, step: int, loop: dict[str, Any]) -> None:
        epochs = self.trainer.max_epochs
        if epochs not in (None, -1) and loop["epoch_progress"]["current"]["processed"] >= epochs:
            raise UserError(
                f"expected --trainer.max_epochs above the {epochs} that {checkpoint} has been trained for",
                f"got {epochs}",
                f"prolong it, for example --trainer.max_epochs {epochs + 5}",
            )
        run = runs.run_of(checkpoint)
        if run is not None and self.trainer.is_global_zero and not self.trainer.fast_dev_run:
            rewind(run, step=loop["epoch_loop.batch_progress"]["total"]["ready"])
            print(f"resume   from {checkpoint} after {step} steps", flush=True)

    def _check_identity(self, saved: dict[str, Any]) -> None:
        """A checkpoint is resumed by the model and on the data that it was trained with."""
        config, run = self.config[self.subcommand], saved.get("run", {})
        then = {"model": run.get("model"), "dataset": run.get("dataset")}
        now = {"model": config.model.class_path, "dataset": self.dataset}
        if then == now:
            if self.subcommand == "fit" and "seed" in run:
                then["seed_everything"], now["seed_everything"] = run["seed"], config.seed_everything
            for part, module in (("", self.model), ("datamodule_", self.datamodule)):
                prefix = "data" if part else "model"
                then |= {f"{prefix}.{key}": value for key, value in saved.get(f"{part}hyper_parameters", {}).items()}
                now |= {f"{prefix}.{key}": value for key, value in module.hparams.items()}
        keys = sorted(key for key in then | now if then.get(key) != now.get(key) and not asked_for(key))
        differing = [f"{key} {then.get(key)} there, {now.get(key)} here" for key in keys]
        if differing:
            raise UserError(
                f"expected the model and data that {self.checkpoint} was trained with",
                f"got a difference: {'; '.join(differing)}",
                f"take the old values, or start anew from its weights: --weights {self.checkpoint} without --ckpt_path",
            )


def asked_for(key: str) -> bool:
    """Whether it is a learning rate, or the length of its schedule, which the command line names: these may change in a run."""
    name = re.fullmatch(r"model\.(?:\w+_)?lr(?:_steps)?", key)
    return name is not None and any(re.match(rf"--model\.(init_args\.)?{key[6:]}(=|$)", word) for word in sys.argv)


def schedules_of(trainer: Trainer) -> list[LambdaLR]:
    return [config.scheduler for config in trainer.lr_scheduler_configs if isinstance(config.scheduler, LambdaLR)]


def dataset_of(datamodule: LightningDataModule | None) -> str:
    return getattr(datamodule, "dataset", type(datamodule).__name__.lower())
