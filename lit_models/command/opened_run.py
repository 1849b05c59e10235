"""A run that a command has opened: its model, its data, and all that its checkpoint holds."""

from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

from datamodules import MNISTDataModule
from lit_models.checkpoints.atomic_io import read_checkpoint
from lit_models.checkpoints.loading import UnknownClass, imported, model_of, parameters_of
from lit_models.command.errors import UserError
from lit_models.command.own_classes import import_modules
from lit_models.contracts import HasImages


class OpenedRun:
    """Classes of the user's own are those of the modules that `imports` names: a path inside a checkpoint is never imported.

    Raises:
        UserError: If the checkpoint is of another class.
    """

    def __init__(self, checkpoint: Path, imports: list[str]) -> None:
        self.checkpoint, self.imports = checkpoint, import_modules(imports)
        self.saved = read_checkpoint(checkpoint)
        named = self.saved.get("run", {}).get("model", "")
        own = imported(named) if self._is_imported(named) else None
        try:
            self.model = model_of(self.saved, checkpoint, own)
        except UnknownClass as error:
            module = named.rpartition(".")[0]
            remedy = (
                f"if it is yours, name its module: --import {module}" if module else "open it in Python: lit_models.load(path, YourClass)"
            )
            expected, found, _ = str(error).split("\n")
            raise UserError(expected, found, remedy) from error

    @property
    def dataset(self) -> str:
        """The name of the data set that the model was trained on."""
        saved = self.saved.get("datamodule_hyper_parameters", {})
        return self.saved.get("run", {}).get("dataset") or saved.get("dataset") or "unknown data"

    @cached_property
    def data_class(self) -> Any:
        named = self.saved.get("run", {}).get("data")
        if named is None and self.saved.get("datamodule_hyper_parameters", {}).keys() == parameters_of(MNISTDataModule) - {"root"}:
            return MNISTDataModule  # the checkpoint of a plain Trainer: its arguments tell
        if named is not None and (named.startswith("datamodules.") or self._is_imported(named)):
            return imported(named)
        raise UserError(
            f"expected a run that knows its data module in {self.checkpoint}",
            f"got {named or 'the checkpoint of a Trainer without one'}",
            f"if it is yours, name its module: --import {named.rpartition('.')[0]}"
            if named
            else "measure it in Python: Trainer().test(model, loader)",
        )

    def data(self, root: str | None) -> Any:
        """The data module of the run, set up, with the images that the run has seen.

        Raises:
            UserError: If it cannot hand out images.
            ValueError: If its images are others.
        """
        arguments = dict(self.saved.get("datamodule_hyper_parameters", {}))
        if issubclass(self.data_class, MNISTDataModule):
            arguments["dataset"] = self.dataset
        if "root" in parameters_of(self.data_class):
            arguments["root"] = root
        data: Any = self.data_class(**{name: value for name, value in arguments.items() if name in parameters_of(self.data_class)})
        able = isinstance(data, HasImages)
        if not able:
            raise UserError(
                "expected a data module with images(split)", f"got {type(data).__name__}", "add the method, or use lightning validate"
            )
        data.prepare_data()
        data.setup("fit")
        data.setup("test")
        if type(data).__qualname__ in self.saved:
            data.load_state_dict(self.saved[type(data).__qualname__])
        return data

    def _is_imported(self, path: str) -> bool:
        return any(path.startswith(f"{module}.") for module in self.imports) and hasattr(
            import_module(path.rpartition(".")[0]), path.rpartition(".")[2]
        )
