"""Makes the trained weights in the package of runs.

    python -m benchmarks.pretrained vae=logs/vae/mnist vqvae=logs/vqvae/mnist gan_conditional=logs/gan_conditional/mnist \\
        latent_flow=logs/latent_flow/mnist ae=logs/ae/mnist

Each gets a checkpoint in half precision and a page about it. The autoencoder of `latent_flow` is that of `ae`, weight by weight, so `ae`
has no weights of its own.
"""

import sys
from pathlib import Path
from typing import Any

import torch

from lit_models.checkpoints.atomic_io import AtomicCheckpointIO, read_checkpoint
from lit_models.checkpoints.model_card import model_card
from lit_models.checkpoints.pretrained import FOLDER
from lit_models.checkpoints.runs import find_checkpoint
from lit_models.checkpoints.slim import SHARED, slim
from lit_models.checkpoints.weights_file import flat


def main(pairs: list[str]) -> None:
    FOLDER.mkdir(exist_ok=True)
    kept: dict[str, dict[str, Any]] = {}
    for name, place in (pair.split("=", 1) for pair in pairs):
        file, _ = find_checkpoint(Path(place))
        kept[name] = slim(read_checkpoint(file))
        saved = dict(kept[name])
        if name == "ae" and "latent_flow" in kept and are_equal(saved, kept["latent_flow"]):
            saved |= {"state_dict": {}, SHARED: "latent_flow.ckpt"}
        target = FOLDER / f"{name}.ckpt"
        AtomicCheckpointIO().save_checkpoint(saved, target)
        target.with_suffix(".md").write_text(model_card(kept[name], file, target, pretrained=True))
        print(f"{target}: {target.stat().st_size / 1e6:.2f} MB")
    print(f"together {sum(file.stat().st_size for file in FOLDER.glob('*.ckpt')) / 1e6:.2f} MB")


def are_equal(few: dict[str, Any], many: dict[str, Any]) -> bool:
    """Whether all tensors of one checkpoint are in another."""
    others = dict(flat(many))
    return all(torch.equal(tensor, others[name]) for name, tensor in flat(few))


if __name__ == "__main__":
    main(sys.argv[1:])
