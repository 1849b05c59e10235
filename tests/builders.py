"""Small models in the state that some training leaves, and one training step on a real batch."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer

from datamodules import ImageDataModule
from lit_models.ae import AE
from lit_models.anchored import AnchoredDecoder
from lit_models.contracts import HasTrainingCodes
from lit_models.flow import Flow
from lit_models.gan import GAN
from lit_models.pca_ae import PCAAE
from lit_models.pca_vae import PCAVAE
from lit_models.pixels import Pixels
from lit_models.text_flow import TextFlow
from lit_models.vae import VAE
from lit_models.vae_conditional import ConditionalVAE
from lit_models.vae_gan import VAEGAN
from lit_models.vqvae import VQVAE

SMALL_GAN = dict(generator_channels=16, discriminator_channels=16)
SMALL = {  # the arguments of small models, by the name of the config; further arguments may be given
    "ae": (AE, dict(channels=16)),
    "latent_flow": (AE, dict(channels=16, sampler="flow")),
    "vae": (VAE, dict(channels=16)),
    "vae_conditional": (ConditionalVAE, dict(channels=16)),
    "vqvae": (VQVAE, dict(n_codes=32, channels=16, prior_width=32, prior_layers=1)),
    "gan": (GAN, dict(conditioning="clusters", clusters=5, **SMALL_GAN)),
    "gan_conditional": (GAN, dict(conditioning="projection", clusters=2, **SMALL_GAN)),
    "vae_gan": (VAEGAN, dict(encoder_channels=16, **SMALL_GAN)),
    "flow": (Flow, dict(channels=8, steps=2)),
    "text_flow": (TextFlow, dict(channels=16)),
    "pixels": (Pixels, dict(width=16, layers=1, heads=2, units=4)),
    "anchored": (AnchoredDecoder, dict(channels=16)),
    "pca_ae": (PCAAE, dict(channels=16)),
    "pca_vae": (PCAVAE, dict(channels=16)),
}
BUILD = {name: partial(model, **arguments) for name, (model, arguments) in SMALL.items()}


def build(name: str) -> LightningModule:
    """A small model in evaluation mode, with codebook, principal components, clusters and training codes as after some training."""
    torch.manual_seed(0)
    model, images, labels = BUILD[name](), torch.rand(50, 1, 28, 28), torch.arange(50) % 10
    if name == "vqvae":
        model.quantiser.update(model.encoder(torch.rand(32, 1, 28, 28)).detach())
        model.prior_begun.fill_(True)
    if name.startswith("pca"):
        model.encoder.fit(images)
    if name in ("gan", "gan_conditional"):
        model.clusters.fit(images, model._clustered_class(labels, len(images)))
    if isinstance(model, HasTrainingCodes):
        model.training_codes.keep(model.indices(images) if name == "vqvae" else model.encode(images), labels)
    return model.eval()


def checkpoint_of(model: LightningModule) -> dict[str, Any]:
    """What a training saves of a model, without its optimiser."""
    path = f"{type(model).__module__}.{type(model).__name__}"
    return {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams), "run": {"model": path}, "global_step": 1}


def fit_batches(model: LightningModule, folder: Path, batches: int = 1) -> None:
    """Train `model` on some batches of the small digits with a real Trainer."""
    quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0)
    trainer = Trainer(accelerator="cpu", max_epochs=1, limit_train_batches=batches, limit_val_batches=0, default_root_dir=folder, **quiet)
    binarize = "dynamic" if isinstance(model, Pixels) else "none"
    trainer.fit(model.train(), datamodule=ImageDataModule("digits", limit=64 * batches + 64, batch_size=64, binarize=binarize))


def moved(before: dict[str, torch.Tensor], model: LightningModule) -> set[str]:
    after = model.state_dict()
    return {name for name, value in before.items() if not torch.equal(value, after[name])}


def tensors(model: LightningModule) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items() if isinstance(value, torch.Tensor)}


def digit_images(n: int) -> torch.Tensor:
    data = ImageDataModule("digits", limit=n)
    data.setup()
    return data.images("train")[0]
