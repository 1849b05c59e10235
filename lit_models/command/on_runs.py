"""What `test`, `predict` and `sample` do with a checkpoint."""

import importlib
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from PIL import Image
from torch import Tensor

from callbacks import CodebookUsage, SeedEachStep
from callbacks.figures.figure import class_places, looking
from callbacks.figures.picture import grid_picture
from datamodules import MNISTDataModule
from lit_models.checkpoints.atomic_io import read_checkpoint
from lit_models.command.errors import UserError
from lit_models.command.on_measures import log_measures, measure
from lit_models.command.quiet import quiet
from lit_models.command.runs import run_of
from lit_models.command.train import add_to_path
from lit_models.contracts import CanDecode, CanEncode, CanSample, HasAnchors, HasCodebook, HasLogWeights, HasPriors, HasTrainingCodes
from lit_models.evaluation.measure import draw_about_places

SHIPPED = (
    "lit_models.ae.AE", "lit_models.anchored.AnchoredDecoder", "lit_models.evaluation.classifier.Classifier", "lit_models.gan.GAN",
    "lit_models.pca_ae.PCAAE", "lit_models.pca_vae.PCAVAE", "lit_models.vae.VAE", "lit_models.vae_gan.VAEGAN", "lit_models.vqvae.VQVAE",
)  # fmt: skip


def load(checkpoint: Path, named: str | None) -> tuple[LightningModule, dict[str, Any]]:
    """The model of a checkpoint, by a class of ours or the one the user names: a path inside a file is never imported."""
    saved = read_checkpoint(checkpoint)
    if saved.get("global_step") == 0:
        raise UserError("expected a model that has been trained", f"got {checkpoint}, saved before its first step", "fit goes on with it")
    trained = saved.get("run", {}).get("model", "unknown")
    path = named or trained
    if named is None and trained not in SHIPPED:
        raise UserError(f"expected one of our models in {checkpoint}", f"got {trained}", f"name the class yourself: --model {trained}")
    add_to_path(Path.cwd())
    module, _, name = path.rpartition(".")
    try:
        model = getattr(importlib.import_module(module), name)(**saved.get("hyper_parameters", {}))
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError("--model expected module.Class, importable from here", f"got {path}: {error}") from error
    model.load_state_dict(saved["state_dict"])
    return model.eval(), saved


def data_of(saved: dict[str, Any], root: str | None) -> MNISTDataModule:
    if saved.get("run", {}).get("data", "").split(".")[-1] != MNISTDataModule.__name__:
        raise UserError(
            "expected a run on datamodules.MNISTDataModule",
            f"got {saved.get('run', {}).get('data')}",
            "use lightning validate with its config",
        )
    return MNISTDataModule(**saved["datamodule_hyper_parameters"] | {"dataset": saved["run"]["dataset"], "root": root})


def test(checkpoint: Path, given: Namespace) -> int:
    quiet()
    model, saved = load(checkpoint, given.model)
    if given.draws and not isinstance(model, HasLogWeights):
        raise UserError("--draws expected a model whose likelihood can be sampled, a VAE", f"got {type(model).__name__}")
    extra = [CodebookUsage()] if isinstance(model, HasCodebook) else []
    trainer = Trainer(
        accelerator="auto", devices=1, logger=False, enable_checkpointing=False, enable_model_summary=False, enable_progress_bar=False,
        use_distributed_sampler=False, callbacks=[SeedEachStep(), *extra], default_root_dir=str(checkpoint.parent),
    )  # fmt: skip
    trainer.test(model, datamodule=data_of(saved, given.root), verbose=False)
    print(f"{checkpoint} on the test images of {saved['run']['dataset']}")
    for name, value in sorted(trainer.callback_metrics.items()):
        print(f"{name:22} {float(value):.6g}")
    values = measure(model, saved["run"]["dataset"], trainer.datamodule.images("test"), given)
    run = run_of(checkpoint)
    if run is not None:
        log_measures(run, values, saved["global_step"])
    return 0


def predict(checkpoint: Path, given: Namespace) -> int:
    model, saved = load(checkpoint, given.model)
    if not isinstance(model, CanEncode):
        raise UserError("predict expected a model that encodes", f"got {type(model).__name__}")
    data = data_of(saved, given.root)
    data.setup()
    images, labels = data.images(given.split)
    with looking(model):
        codes = torch.cat([model.encode(part) for part in images.split(500)])
    np.savez_compressed(given.output, codes=codes.numpy(), labels=labels.numpy().astype(np.uint8))
    print(f"{given.output}: codes {tuple(codes.shape)} and labels of the {given.split} images of {saved['run']['dataset']}")
    return 0


def sample(checkpoint: Path, given: Namespace) -> int:
    model, saved = load(checkpoint, given.model)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    generator = torch.Generator().manual_seed(given.seed)
    with looking(model):
        images, labels, how = _around_centroids(model, given, generator) if given.noise is not None else _draw(model, given, generator)
    images = (255 * images.clamp(0, 1)).round().byte().cpu()
    dataset = saved.get("run", {}).get("dataset", "unknown data")
    if given.output.suffix == ".npz":
        arrays = {"images": images[:, 0].numpy()} | ({} if labels is None else {"labels": labels.numpy().astype(np.uint8)})
        np.savez_compressed(given.output, **arrays)
    else:
        Image.fromarray(grid_picture(images / 255, min(8, len(images)), f"{how} | {dataset}")).save(given.output)
    print(f"{given.output}: {len(images)} {how}, trained on {dataset}")
    return 0


def _labels(given: Namespace, classes: int) -> Tensor:
    if given.label is None:
        return torch.arange(given.num) % classes
    if not 0 <= given.label < classes:
        raise UserError(f"--label expected a digit from 0 to {classes - 1}", f"got {given.label}")
    return torch.full((given.num,), given.label)


def _draw(model: LightningModule, given: Namespace, generator: torch.Generator) -> tuple[Tensor, Tensor | None, str]:
    if not isinstance(model, CanSample):
        raise UserError("sample expected a model that can be drawn from", f"got {type(model).__name__}")
    known = model.priors if isinstance(model, HasPriors) else {}
    prior = given.prior or next(iter(known), None)
    if given.prior is not None and given.prior not in known:
        expected = f"one of {', '.join(known)}" if known else f"none: {type(model).__name__} has one way to be sampled"
        raise UserError(f"--density expected {expected}", f"got {given.prior}")
    classes = known[prior] if prior else model.classes
    if classes is None and given.label is not None:
        able = [name for name, taken in known.items() if taken]
        if able:
            remedy = "or draw about its class place: --noise 0.5"
            raise UserError(f"--label expected a density that takes labels: {', '.join(able)}", f"got {prior}", remedy)
        raise UserError("--label expected a model that takes labels", f"got {type(model).__name__}")
    labels = None if classes is None else _labels(given, classes)
    source = f", codes {prior}" if prior else ""
    options = {"prior": prior} if prior else {}
    return model.sample(given.num, labels, generator, **options), labels, f"samples of {type(model).__name__}{source}"


def _around_centroids(model: LightningModule, given: Namespace, generator: torch.Generator) -> tuple[Tensor, Tensor, str]:
    if not (isinstance(model, CanDecode) and isinstance(model, HasAnchors | HasTrainingCodes)):
        raise UserError("--noise expected a model with anchors or with codes of training images", f"got {type(model).__name__}")
    labels = _labels(given, 10)
    _, _, unit = class_places(model)
    how = f"decodes of {type(model).__name__} about its class places, noise {given.noise:g} {unit}"
    return draw_about_places(model, labels, given.noise, generator), labels, how
