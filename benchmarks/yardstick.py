"""What the yardstick sees, and six systems measured by it: the figures behind the README's sections on measures.

    python -m benchmarks.yardstick controls                       # docs/yardstick/controls.json and controls.png
    python -m benchmarks.yardstick systems ae=logs/ae/mnist ...   # systems.json: every sampler of each run, on test images
    python -m benchmarks.yardstick modes gan_stacked=logs/gan_stacked/stacked_mnist ...    # docs/yardstick/modes.json
    python -m benchmarks.yardstick systems --split val --output choice.json gan=logs/gan_conditional/mnist   # for a choice

The second command resumes: rows that the file has are not measured again.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from scipy.stats import kendalltau

from datamodules import ImageDataModule
from lit_models import load
from lit_models.checkpoints.loading import open_checkpoint
from lit_models.checkpoints.runs import find_checkpoint
from lit_models.evaluation import Yardstick, yardstick_of
from lit_models.evaluation.modes import DATASET, SAMPLES, digit_classifier, measure_modes, mode_coverage, modes_of
from lit_models.evaluation.sample_quality import key
from lit_models.evaluation.yardstick import floor_of_kid
from lit_models.sampling.samplers import draw, samplers_of

DOCS = Path(__file__).parent.parent / "docs" / "yardstick"
BEST = 15  # rows over which the spaces are compared
SIX = ("ae", "vae", "vae_conditional", "vqvae", "gan_conditional", "vae_gan")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("what", choices=("controls", "systems", "modes"))
    options.add_argument("runs", nargs="*", metavar="NAME=RUN", help="NAME=RUN@SAMPLER,SAMPLER measures these samplers only")
    options.add_argument("--split", choices=("val", "test"), default="test")
    options.add_argument("--num", type=int, default=10_000)
    options.add_argument(
        "--temperatures", type=float, nargs="*", default=[], help="rows at these temperatures too, of samplers normal and own"
    )
    options.add_argument("--output", type=Path)
    options.add_argument("--dataset", default="mnist")
    options.add_argument("--root")
    given = options.parse_args()
    runs = dict(run.split("=", 1) for run in given.runs)
    if given.what == "modes":
        return modes(runs, given.root, given.output or DOCS / "modes.json")
    yardstick = yardstick_of(given.dataset, ImageDataModule(given.dataset, root=given.root).whole(), given.num, given.split)
    other = "" if given.dataset == "mnist" else f"_{given.dataset}"
    if given.what == "controls":
        controls(yardstick, given.dataset, given.output or DOCS / f"controls{other}.json")
    else:
        systems(yardstick, runs, given.temperatures, given.output or DOCS / f"systems{other}.json")


def controls(yardstick: Yardstick, dataset: str, file: Path) -> None:
    """Kernel and Fréchet distances of each distortion in units of the floor, as JSON and as a picture."""
    n = min(yardstick.n, len(yardstick.held_out))
    found: dict[str, Any] = {
        "n": n,
        "split": yardstick.split,
        "yardstick": yardstick.sha256,
        "floor": yardstick.distances(yardstick.held_out[:n]),
    }
    found["distortions"] = {}
    for name in yardstick.distortions:
        rows = yardstick.controls([name], n)[name]
        found["distortions"][name] = {f"{strength:g}": row for strength, row in rows.items()}
        print(name, *(f"{row['kid']:.2f}" for row in rows.values()), flush=True)
    file.write_text(json.dumps(found, indent=1))
    figure, axes = plt.subplots(3, 4, figsize=(12, 7), sharey=True, layout="constrained")
    for axis, (name, rows) in zip(axes.flat, found["distortions"].items(), strict=False):
        for space in yardstick.spaces.widths:
            floor = floor_of_kid(found["floor"], space)
            axis.plot(list(rows), [max(0.3, row[key("kid", space)] / floor) for row in rows.values()], marker="o", label=space)
        axis.axhspan(0.3, 2, color="0.9")
        axis.set(yscale="log", title=name)
    axes[0, 0].legend()
    figure.supylabel("kernel distance in floors (grey: not seen)")
    figure.suptitle(f"{n} distorted images next to {n} {yardstick.split} images of {dataset}, at three strengths")
    figure.savefig(file.with_suffix(".png"), dpi=80)


def systems(yardstick: Yardstick, runs: dict[str, str], temperatures: list[float], file: Path) -> None:
    """Every sampler of each run, and how far the spaces agree about the best rows."""
    found: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {"rows": {}}
    if found.setdefault("yardstick", yardstick.sha256) != yardstick.sha256:
        raise SystemExit(f"{file} was measured by another yardstick: move it away")
    found |= {"n": yardstick.n, "split": yardstick.split, "real_recognisable": yardstick.real_recognisable}
    if "real images" not in found["rows"]:
        found["rows"]["real images"] = {"labelled": True, "values": yardstick.floor()}
    for name, given in runs.items():
        run, _, named = given.partition("@")
        model = load(run)
        for sampler, classes in samplers_of(model).items():
            if named and sampler not in named.split(","):
                continue
            for temperature in [None, *(temperatures if sampler in ("normal", "own") else [])]:
                row = f"{name}, {sampler}" + (f", temperature {temperature:g}" if temperature else "")
                if row in found["rows"]:
                    continue
                drawn, asked = draw(model, yardstick.n, sampler, temperature=temperature)
                found["rows"][row] = {"labelled": classes is not None, "values": yardstick.quality(drawn, asked)}
                file.write_text(json.dumps(found, indent=1))
                print(row, *(f"{each}={found['rows'][row]['values'][each]:.3f}" for each in ("coverage", "kid", "kid_second")), flush=True)
    rows = {name: row["values"] for name, row in found["rows"].items() if name != "real images"}
    found["tau"] = agreement({name: values for name, values in rows.items() if name.split(",")[0] in SIX})
    found["tau_of_all_systems"] = agreement(rows)
    file.write_text(json.dumps(found, indent=1))
    for name in ("tau", "tau_of_all_systems"):
        print(name, found[name])


def modes(runs: dict[str, str], root: str | None, file: Path) -> None:
    """Modes among 26,000 samples of stacked MNIST by each sampler of each run, without labels, and among 26,000 real images."""
    images, labels = ImageDataModule(DATASET, root=root).whole().images("train")
    assert labels is not None
    found: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    if "real images" not in found:
        found["real images"] = mode_coverage(modes_of(images[:SAMPLES], digit_classifier()), labels)
    for name, run in runs.items():
        model, saved = open_checkpoint(find_checkpoint(Path(run))[0])
        for sampler in samplers_of(model):
            batches = saved["loops"]["fit_loop"]["epoch_loop.batch_progress"]["total"]["ready"]
            trained = {"batches": batches, "parameters": sum(each.numel() for each in model.parameters())}
            found[f"{name}, {sampler}"] = measure_modes(model, sampler, labels) | trained
            print(name, sampler, found[f"{name}, {sampler}"], flush=True)
            file.write_text(json.dumps(found, indent=1))


def agreement(rows: dict[str, dict[str, float]]) -> dict[str, float]:
    """Kendall's tau between the spaces over the rows that are best on the average of their ranks, and over all rows."""
    found = {}
    for measure in ("kid", "fid"):
        keys = [measure, f"{measure}_second", f"{measure}_untrained"]
        order = {each: sorted(rows, key=lambda row, each=each: rows[row][each]) for each in keys}
        best = sorted(rows, key=lambda row: sum(order[each].index(row) for each in keys))
        for over, chosen in ((f"best {BEST}", best[:BEST]), ("all", best)):
            for one, other in ((0, 1), (0, 2), (1, 2)):
                tau = kendalltau(*([rows[row][keys[each]] for row in chosen] for each in (one, other))).statistic
                found[f"{keys[one]} and {keys[other]}, {over}"] = round(float(tau), 3)
    return found


if __name__ == "__main__":
    main()
