"""Models on a hub of Hugging Face, by huggingface_hub's own mixin (extra `export`).

from lit_models.checkpoints.hub import Published

Published("logs/vqvae/mnist").push_to_hub("me/vqvae-mnist")
model = Published.from_pretrained("me/vqvae-mnist").model
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from huggingface_hub import ModelHubMixin, hf_hub_download
from lightning.pytorch import LightningModule

from lit_models.checkpoints.atomic_io import read_checkpoint
from lit_models.checkpoints.loading import load
from lit_models.checkpoints.model_card import model_card
from lit_models.checkpoints.runs import find_checkpoint
from lit_models.checkpoints.weights_file import write_weights

FILE = "model.safetensors"


class Published(ModelHubMixin, library_name="lit-generative"):  # type: ignore[call-arg]
    """A trained model with the methods `save_pretrained`, `push_to_hub` and `from_pretrained`.

    Args:
        source: A run folder, a checkpoint, or an exported file: the weights and all that sampling and measuring need are taken from it.
    """

    def __init__(self, source: str | Path) -> None:
        self.source, _ = find_checkpoint(Path(source))
        self.model: LightningModule = load(self.source)

    def _save_pretrained(self, save_directory: Path) -> None:
        saved = read_checkpoint(self.source)
        write_weights(saved, save_directory / FILE)
        (save_directory / "README.md").write_text(model_card(saved, self.source, save_directory / FILE))

    @classmethod
    def _from_pretrained(cls, *, model_id: str, revision: str | None, cache_dir: Any, force_download: bool, local_files_only: bool,
                         token: Any, **options: Any) -> Published:  # fmt: skip
        folder = Path(model_id)
        if folder.is_dir():
            return cls(folder / FILE)
        file = hf_hub_download(
            model_id,
            FILE,
            revision=revision,
            cache_dir=cache_dir,
            force_download=force_download,
            local_files_only=local_files_only,
            token=token,
        )
        return cls(file)
