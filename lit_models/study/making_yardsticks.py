"""Makes the yardstick of a data set by the recipe of MNIST's: four networks, each trained by `lightning fit`.

First come the two classifiers of clean images, in whose features distances are measured. They never see the last training images
(`held_out`). The first of them is asked which kinds of corruption make sense for this data (`lit_models.evaluation.asked_kinds`). Then come
the two classifiers of the judge, which learn to refuse the other kinds.
"""

import shutil
import string
import time
from pathlib import Path
from typing import Any

import torch
import yaml

from datamodules import ImageDataModule
from lit_models.checkpoints.loading import open_checkpoint
from lit_models.evaluation.asked_kinds import left_out
from lit_models.evaluation.classifier import Classifier
from lit_models.evaluation.features import held_out, save_spaces
from lit_models.evaluation.judge import known_images, make_judge, save_judge
from lit_models.study.training import fit, run_in
from lit_models.training import configs

SPACES = {"first": ["classifier", "clean"], "second": ["classifier", "clean", "dense"]}
JUDGE = {"judge_first": ["classifier"], "judge_second": ["classifier", "second"]}


def make_yardstick(data: ImageDataModule, root: str, folder: Path, overlays: list[str]) -> None:
    """Write `spaces.pt` and `judge.pt` into a folder. After an interruption the same call resumes the training that was interrupted.

    Args:
        data: The whole data set, with labels.
        root: Folder of the data sets that have a name.
        overlays: Further configs for each of the four trainings, which may shorten them.
    Raises:
        ValueError: If there are no labels.
        Failed: If a training fails.
    """
    if data.classes is None:
        raise ValueError(f"a judge expected labelled images\ngot none in {data.dataset}\nwithout labels, distances are measured alone")
    n = len(data.images("train")[0])
    most = n - held_out(n)
    limits = [(configs.read(configs.find(name)).get("data") or {}).get("init_args", {}).get("limit") for name in overlays]
    trained_on = min([most, *(limit for limit in limits if limit is not None)])
    own = [f"--data.limit={trained_on}"]
    spaces = {name: _trained(folder, name, names + overlays, data, root, own) for name, names in SPACES.items()}
    recipe = _recipe({name: SPACES[name] + overlays for name in spaces}, spaces, data, f" on the first {trained_on} training images")
    first, second = (model for model, _ in spaces.values())
    save_spaces(first, second, data.dataset, trained_on, recipe, folder / "spaces.pt", data.images_sha256)
    reasons = asked(first, data)[0]
    overlay = folder / "runs" / "left_out.yaml"
    overlay.write_text(yaml.safe_dump({"model": {"init_args": {"left_out": list(reasons)}}}))
    more = [*overlays, *([str(overlay.resolve())] if reasons else [])]
    judges = {name: _trained(folder, name, names + more, data, root, []) for name, names in JUDGE.items()}
    recipe = _recipe({name: JUDGE[name] + overlays for name in judges}, judges, data, "")
    first, second = (model for model, _ in judges.values())
    save_judge(make_judge(first, second, data, reasons), data.dataset, recipe, folder / "judge.pt", data.images_sha256)
    shutil.rmtree(folder / "runs")


def asked(classifier: Classifier, data: ImageDataModule) -> tuple[dict[str, str], dict[str, float]]:
    """The kinds of corruption that make sense for the data with the reason, and what was measured of each kind."""
    images, labels = data.images("val")
    assert labels is not None
    return left_out(classifier, known_images(data), images, labels, digits=data.class_names == tuple(string.digits))


def _trained(
    folder: Path, name: str, names: list[str], data: ImageDataModule, root: str, options: list[str]
) -> tuple[Classifier, dict[str, Any]]:
    """A classifier, trained to its end, and its checkpoint."""
    run, start = folder / "runs" / name, time.monotonic()
    done = run / "done"
    settings = " ".join([*names, *options, data.images_sha256])
    if not done.is_file() or done.read_text() != settings:
        if done.is_file():  # by other settings
            shutil.rmtree(run)
        print(f"training {' + '.join(Path(each).stem for each in names)}", flush=True)
        fit(run, names, data.dataset, root, ["--trainer.enable_progress_bar=false", *options])
        done.write_text(settings)
        print(f"         {time.monotonic() - start:.0f} s", flush=True)
    found = run_in(run)
    assert found is not None
    best = found / "checkpoints" / "best.ckpt"
    model, saved = open_checkpoint(best if best.is_file() else best.with_name("last.ckpt"))
    assert isinstance(model, Classifier)
    return model, saved


def _recipe(names: dict[str, list[str]], trained: dict[str, tuple[Classifier, dict[str, Any]]], data: ImageDataModule, more: str) -> str:
    """How two classifiers were made, and how well they classify validation images."""
    parts = []
    for name, (model, saved) in trained.items():
        command = f"lightning fit {' '.join(f'--config {each}' for each in names[name])}"
        parts.append(f"{command}{more}: {accuracy(model, data):.4f} right on validation images after {saved['global_step']} steps")
        parts[-1] += f" with {dict(saved['hyper_parameters'])}"
    return "two classifiers, " + "; ".join(parts)


@torch.no_grad()
def accuracy(model: Classifier, data: Any) -> float:
    """The share of validation images that are classified rightly."""
    images, labels = data.images("val")
    classes = torch.cat([model.classify(part) for part in images.split(500)]).argmax(dim=1)
    return float((classes == labels).double().mean())
