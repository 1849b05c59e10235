"""`lightning predict`: codes and labels of images, as .npz."""

from pathlib import Path

from lit_models.command.arguments import check_output, run_parser
from lit_models.command.errors import UserError, explained
from lit_models.command.run_folders import checkpoint_of


def run(command: str, arguments: list[str]) -> int:
    options = run_parser("predict", "Write codes and labels of images as .npz.")
    options.add_argument("--root", help="folder of the data; default $MNIST_ROOT, else data/")
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
        np.savez_compressed(given.output, codes=codes.numpy(), labels=labels.numpy().astype(np.uint8))
        print(f"{given.output}: codes {tuple(codes.shape)} and labels of the {given.split} images of {opened.dataset}")
    return 0
