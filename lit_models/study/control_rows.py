"""Rows of the table that belong to no model: real images, distorted and spoilt ones. They say what a number of the table means.

Real images of both kinds are held out of the training set; no network of the yardstick was trained on them.
"""

import json
from pathlib import Path
from typing import Any

import torch

from lit_models.evaluation.judge import controls
from lit_models.evaluation.yardstick import Yardstick
from lit_models.study.measuring import write_json

DISTORTED = 2000  # held-out images per distortion


def control_rows(study: Path, yardstick: Yardstick) -> list[dict[str, Any]]:
    """The rows, which are measured once per yardstick and kept in `controls.json`; `real` marks those of real images."""
    file = study / "controls.json"
    made_with = {"yardstick": yardstick.sha256, "split": yardstick.split, "samples": yardstick.n}
    if file.is_file():
        saved = json.loads(file.read_text())
        if saved["made_with"] == made_with:
            rows: list[dict[str, Any]] = saved["rows"]
            return rows
    rows = _measured(yardstick)
    write_json(file, {"made_with": made_with, "rows": rows})
    return rows


def _measured(yardstick: Yardstick) -> list[dict[str, Any]]:
    n = min(yardstick.n, len(yardstick.held_out))
    few = min(n, DISTORTED)
    names = {count: f"{count:,} held-out training images (real against real)" for count in (n, few)}
    rows = [_row(name, yardstick.floor(count), real=True) for count, name in names.items()]
    rows.append(
        _row(
            f"{n:,} held-out training images, binarised",
            yardstick.quality(binarised(yardstick, n), yardstick.labels_of_held_out(n)),
            real=True,
        )
    )
    rows += [
        _row(f"{name}: {strength:g} ({few:,} images)", values)
        for name, strengths in yardstick.controls(n=few).items()
        for strength, values in strengths.items()
    ]
    if yardstick.judge is not None and yardstick.labels is not None:
        spoilt = controls(yardstick.judge, yardstick.real, yardstick.labels)
        rows += [_row(name, {"recognisable": share}) for name, share in spoilt.items()]
    return rows


def binarised(yardstick: Yardstick, n: int) -> torch.Tensor:
    """The first `n` held-out images, each pixel drawn once with the probability of its grey value."""
    return torch.bernoulli(yardstick.held_out[:n], generator=torch.Generator().manual_seed(0))


def _row(name: str, values: dict[str, float], real: bool = False) -> dict[str, Any]:
    return {"name": name, "values": values, "real": real}
