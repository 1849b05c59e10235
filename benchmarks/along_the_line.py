"""What noise does to a label-anchored decoder, and what lies between its anchors, by the judge.

    python -m benchmarks.along_the_line RUN [RUN ...] [--root FOLDER] [--num 2000]

With the noise of training: the share of decodes that are taken for their anchor's digit. With noise of sqrt(D) / 2, which
is half the distance between anchors: how many change, and how many of those to a neighbour. Between neighbouring anchors, in steps of
0.05 of the way: how wide the stretches are where decodes are no digits.
"""

import argparse

import torch

from lit_models.anchored import AnchoredDecoder
from lit_models.command.on_runs import load
from lit_models.command.runs import resolve
from lit_models.judge import load_judge
from lit_models.measure import Yardstick


@torch.no_grad()
def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("runs", nargs="+", metavar="RUN")
    options.add_argument("--root")
    options.add_argument("--num", type=int, default=2000)
    given = options.parse_args()
    found = load_judge("mnist", given.root)
    assert found is not None
    judge = found[0]
    yardstick = Yardstick("mnist", judge, given.num, given.root)
    for run in given.runs:
        model, _ = load(resolve(run), None)
        assert isinstance(model, AnchoredDecoder)
        anchors, labels = model.anchors(), torch.arange(given.num) % 10
        generator = torch.Generator().manual_seed(0)
        samples = model.sample(given.num, labels, generator)
        quality = yardstick.quality(samples, labels, kid_subsets=0)
        half = anchors.shape[1] ** 0.5 / 2
        far = model.decode(anchors[labels] + half * torch.randn(given.num, anchors.shape[1], generator=generator))
        seen = judge.look(far).digits
        changed = seen != labels
        near = (seen - labels)[changed].abs() == 1
        print(f"\n{run}: {model.hparams.layout}, {model.hparams.noise_assignment} noise")
        print(f"sigma {model.noise:g}: taken for the anchor's digit {quality['control']:.4f} of {given.num}; digits {quality['valid']:.3f}")
        print(f"sigma {half:g}: {changed.float().mean():.3f} change, of these {near.float().mean():.3f} to a neighbour")
        print(f"within-class pixel variance relative to real test images: {quality['spread']:.3f}")
        ways = torch.linspace(0, 9, 181)
        along = torch.stack([torch.lerp(anchors[int(t)], anchors[min(int(t) + 1, 9)], float(t % 1)) for t in ways])
        on = judge.look(model.decode(along)).valid
        widths = [f"{d}-{d + 1}: {0.05 * float((~on[20 * d + 1 : 20 * d + 20]).sum()):.2f}" for d in range(9)]
        print(f"no digits along {float((~on).float().mean()):.3f} of the way from 0 to 9; between neighbours {', '.join(widths)}")


if __name__ == "__main__":
    main()
