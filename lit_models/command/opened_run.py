"""A run that a command has opened: its model, its data, and all that its checkpoint holds."""

from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import datamodules
from datamodules.contracts import HasImages
from datamodules.named import NAMED
from lit_models.checkpoints.atomic_io import read_checkpoint
from lit_models.checkpoints.loading import UnknownClass, imported, model_of, parameters_of
from lit_models.command.errors import UserError
from lit_models.command.own_classes import import_modules
from lit_models.contracts import ImageShape
from lit_models.training.fixed_images import names_of_classes

OLD_ARGUMENTS = {"dataset", "batch_size", "binarize", "limit", "epoch_images", "seed", "verify"}  # of the data module, in every version
OLD_NAME = "MNISTDataModule"


class OpenedRun:
    """Classes of the user's own are those of the modules that `imports` names: a path inside a checkpoint is never imported.

    Raises:
        UserError: If the checkpoint is of another class.
    """

    def __init__(self, checkpoint: Path, imports: list[str]) -> None:
        self.checkpoint, self.imports = checkpoint, import_modules(imports)
        self.saved = read_checkpoint(checkpoint)
        self.moved_to: str | None = None  # where the user's own images lie now, if it is another place
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
        """The data set that the model was trained on: its name, or the path of the user's own images."""
        if self.moved_to is not None:
            return self.moved_to
        run, saved = self.saved.get("run", {}), self.saved.get("datamodule_hyper_parameters", {})
        ours = run.get("data", "datamodules.").startswith("datamodules.")
        return (ours and saved.get("dataset")) or run.get("dataset") or saved.get("dataset") or "unknown data"

    @property
    def dataset_name(self) -> str:
        """The name of the data set, for captions: that of the file or folder, if it is the user's own."""
        known = self.saved.get("run", {}).get("dataset") or self._data_state.get("dataset") or Path(self.dataset).stem
        return self.dataset if self.dataset in NAMED else known

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name per class of the data; empty for images without labels. Numbers stand in for names that nobody knows."""
        if "class_names" in self._data_state:
            return tuple(self._data_state["class_names"])
        if self.dataset in NAMED:  # an older checkpoint
            return NAMED[self.dataset].class_names
        return names_of_classes((), self.model.hparams.get("classes", 10) or 0)

    @property
    def image_shape(self) -> ImageShape:
        """(C, H, W) of the images that the model was trained on."""
        shape: Any = self._data_state.get("image_shape") or getattr(self.model, "image_shape", (1, 28, 28))
        channels, height, width = shape
        return channels, height, width

    @property
    def _data_state(self) -> dict[str, Any]:
        """The state of the data module at the time of the checkpoint. Its key is the name of the class."""
        named = self.saved.get("run", {}).get("data", "").rpartition(".")[2]
        keys = (named, datamodules.ImageDataModule.__qualname__, OLD_NAME)
        return next((self.saved[key] for key in keys if isinstance(self.saved.get(key), dict)), {})

    @cached_property
    def data_class(self) -> Any:
        named = self.saved.get("run", {}).get("data")
        if named is None:
            arguments = self.saved.get("datamodule_hyper_parameters", {}).keys()
            if OLD_ARGUMENTS <= arguments <= parameters_of(datamodules.ImageDataModule):
                return datamodules.ImageDataModule  # the checkpoint of a plain Trainer: its arguments tell
        elif named.startswith("datamodules."):
            return getattr(datamodules, named.rpartition(".")[2], None) or imported(named)
        elif self._is_imported(named):
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

        Args:
            root: The folder of the data sets that have a name. For the user's own images it is the place where they lie now: the file or
                folder itself, whatever its name is now, or the folder that holds it.
        Raises:
            UserError: If it cannot hand out images.
            ValueError: If its images are others.
        """
        arguments = dict(self.saved.get("datamodule_hyper_parameters", {})) | {"root": root}
        if issubclass(self.data_class, datamodules.ImageDataModule):
            arguments["dataset"] = arguments.get("dataset") or self.dataset
            if root is not None and arguments["dataset"] not in NAMED:
                inside = Path(root) / Path(arguments["dataset"]).name
                self.moved_to = str(inside if inside.exists() else root)
                arguments |= {"dataset": self.moved_to, "root": None}
        data: Any = self.data_class(**{name: value for name, value in arguments.items() if name in parameters_of(self.data_class)})
        able = isinstance(data, HasImages)
        if not able:
            raise UserError(
                "expected a data module with images(split)", f"got {type(data).__name__}", "add the method, or use lightning validate"
            )
        data.prepare_data()
        data.setup("fit")
        data.setup("test")
        if self._data_state:
            renamed = {} if self.moved_to is None else {"dataset": data.dataset_name}  # the sha256 tells whether the images are the same
            data.load_state_dict(self._data_state | renamed)
        return data

    def _is_imported(self, path: str) -> bool:
        return any(path.startswith(f"{module}.") for module in self.imports) and hasattr(
            import_module(path.rpartition(".")[0]), path.rpartition(".")[2]
        )
