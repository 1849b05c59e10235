"""`lightning predict`: codes of images as .npz, with labels and names of classes where they are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lit_models.command.arguments import check_output, run_parser
from lit_models.command.errors import UserError, explained
from lit_models.command.run_folders import checkpoint_of

if TYPE_CHECKING:
    from torch import Tensor


def run(command: str, arguments: list[str]) -> int:
    options = run_parser("predict", "Write codes and labels of images as .npz.")
    options.add_argument("--root", help="folder of the data; default $MNIST_ROOT, else data/. For your own images: where they lie now")
    options.add_argument("--split", choices=("train", "val", "test"), default="test")
    options.add_argument("--output", type=Path, default=Path("codes.npz"))
    given = options.parse_args(arguments)
    checkpoint = checkpoint_of(given.run)
    check_output(given.output, (".npz",))
    import numpy as np
    import torch

    from lit_models.command.opened_run import OpenedRun
    from lit_models.contracts import CanEncode
    from lit_models.sampling.evaluation_mode import evaluation_mode

    with explained():
        opened = OpenedRun(checkpoint, given.imports)
        if not isinstance(opened.model, CanEncode):
            raise UserError("predict expected a model that encodes", f"got {type(opened.model).__name__}")
        images, labels = opened.data(given.root).images(given.split)
        with evaluation_mode(opened.model):
            codes = torch.cat([opened.model.encode(part) for part in images.split(500)])
        known = {} if labels is None else labelled(labels, opened.class_names)
        np.savez_compressed(given.output, codes=codes.numpy(), **known)
        what = f"codes {tuple(codes.shape)}{'' if labels is None else ' and labels'}"
        print(f"{given.output}: {what} of the {given.split} images of {opened.dataset_name}")
    return 0


def labelled(labels: Tensor, class_names: Sequence[str]) -> dict[str, Any]:
    """Arrays for a file: `labels`, of as few bytes as hold them, and `class_names`, one per class, where they are known."""
    import numpy as np

    kind = np.uint8 if len(labels) == 0 or int(labels.max()) < 256 else np.uint16
    known = {"class_names": np.array(class_names, dtype=np.str_)} if class_names else {}
    return {"labels": labels.numpy().astype(kind), **known}
