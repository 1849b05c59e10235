"""Generative models on small images, as LightningModules that say what they can do.

`from lit_models import VAE, load` imports only what is asked for, so that `lightning configs` answers without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

MODELS = {  # by the name of the file and of its config; the command, loading, tests and benchmarks read this table
    "ae": "lit_models.ae.AE",
    "vae": "lit_models.vae.VAE",
    "vae_conditional": "lit_models.vae_conditional.ConditionalVAE",
    "vqvae": "lit_models.vqvae.VQVAE",
    "gan": "lit_models.gan.GAN",
    "vae_gan": "lit_models.vae_gan.VAEGAN",
    "flow": "lit_models.flow.Flow",
    "text_flow": "lit_models.text_flow.TextFlow",
    "pixels": "lit_models.pixels.Pixels",
    "anchored": "lit_models.anchored.AnchoredDecoder",
    "pca_ae": "lit_models.pca_ae.PCAAE",
    "pca_vae": "lit_models.pca_vae.PCAVAE",
    "classifier": "lit_models.evaluation.classifier.Classifier",  # half of the judge, no generative model
}
_FUNCTIONS = {"load": "lit_models.checkpoints.loading.load", "reproducible": "callbacks.reproducible.reproducible"}
_EXPORTS = {path.rpartition(".")[2]: path for path in (*MODELS.values(), *_FUNCTIONS.values())}

if TYPE_CHECKING:
    from callbacks.reproducible import reproducible as reproducible
    from lit_models.ae import AE as AE
    from lit_models.anchored import AnchoredDecoder as AnchoredDecoder
    from lit_models.checkpoints.loading import load as load
    from lit_models.evaluation.classifier import Classifier as Classifier
    from lit_models.flow import Flow as Flow
    from lit_models.gan import GAN as GAN
    from lit_models.pca_ae import PCAAE as PCAAE
    from lit_models.pca_vae import PCAVAE as PCAVAE
    from lit_models.pixels import Pixels as Pixels
    from lit_models.text_flow import TextFlow as TextFlow
    from lit_models.vae import VAE as VAE
    from lit_models.vae_conditional import ConditionalVAE as ConditionalVAE
    from lit_models.vae_gan import VAEGAN as VAEGAN
    from lit_models.vqvae import VQVAE as VQVAE


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'lit_models' has no attribute {name!r}")
    module, _, attribute = _EXPORTS[name].rpartition(".")
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted([*globals(), *_EXPORTS])
