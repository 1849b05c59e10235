"""The rows of a study that belong to no model: each says what it is made of, and the table is only made once per yardstick."""

from pathlib import Path

import pytest
import torch

from datamodules import ImageDataModule
from lit_models.evaluation.distortions import DISTORTIONS
from lit_models.evaluation.yardstick import Yardstick, yardstick_of
from lit_models.study import control_rows
from lit_models.study.control_rows import binarised


@pytest.fixture(scope="module")
def yardstick() -> Yardstick:
    return yardstick_of("digits", ImageDataModule("digits").whole(), 200, "test")


def test_real_binarised_and_distorted_images_have_rows_which_are_measured_once(
    yardstick: Yardstick, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_rows, "DISTORTED", 120)
    rows = {row["name"]: row for row in control_rows.control_rows(tmp_path, yardstick)}
    real = [name for name, row in rows.items() if row["real"]]
    assert real == [
        "200 held-out training images (real against real)",
        "120 held-out training images (real against real)",
        "200 held-out training images, binarised",
    ]
    distorted = [f"{name}: {strength:g} (120 images)" for name, each in DISTORTIONS.items() for strength in each.strengths]
    assert [name for name in rows if name not in real] == distorted
    assert all("kid_untrained" in row["values"] and "kid_error_untrained" in row["values"] for row in rows.values())
    assert {name for name, row in rows.items() if "cas" in row["values"]} == set(real)
    floor, blurred = (rows[name]["values"]["kid_untrained"] for name in (real[1], "blurred, window of n x n: 3 (120 images)"))
    assert blurred > 10 * floor
    monkeypatch.setattr(control_rows, "_measured", lambda yardstick: pytest.fail("measured again"))
    assert {row["name"]: row for row in control_rows.control_rows(tmp_path, yardstick)} == rows
    monkeypatch.setattr(control_rows, "_measured", lambda yardstick: [])
    fewer = yardstick_of("digits", ImageDataModule("digits").whole(), 150, "test")
    assert control_rows.control_rows(tmp_path, fewer) == [], "those of another number of images do not compare"


def test_binarised_images_are_drawn_with_the_probability_of_their_grey_values(yardstick: Yardstick) -> None:
    images = binarised(yardstick, 200)
    assert set(images.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(images, binarised(yardstick, 200))
    grey = yardstick.held_out[:200]
    error = ((grey * (1 - grey)).sum() ** 0.5) / grey.numel()
    assert abs(float(images.mean() - grey.mean())) < 4 * float(error)
    assert torch.equal(images[(grey == 0) | (grey == 1)], grey[(grey == 0) | (grey == 1)])
