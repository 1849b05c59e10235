"""`lightning judge` measures anybody's samples: it reads what people have, and says what it changed."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import mnist_root, needs_mnist
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate, pad

from datamodules import ImageDataModule
from lit_models.evaluation.given_images import as_images, read_images, read_labels


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    images, labels = ImageDataModule("digits").whole().images("train")
    return images[:140], labels[:140]


FORMS = {
    "uint8 N H W": (lambda x: (255 * x[:, 0]).round().byte(), []),
    "float N C H W": (lambda x: x, []),
    "float N H W C": (lambda x: x.permute(0, 2, 3, 1), []),
    "flat": (lambda x: x.flatten(1), []),
    "double": (lambda x: x.double(), []),
    "-1 to 1": (lambda x: 2 * x - 1, ["pixels in [-1, 1]: moved to [0, 1]"]),
    "float to 255": (lambda x: 255 * x, ["divided by 255"]),
    "slightly outside": (lambda x: 1.1 * x - 0.05, ["cut to [0, 1]"]),
    "black on white": (lambda x: 1 - x, ["black and white are exchanged"]),
    "RGB": (lambda x: x.expand(-1, 3, -1, -1), ["3 channels: their mean is taken"]),
    "32 x 32, padded": (lambda x: pad(x, (2, 2, 2, 2)), ["32 x 32 with an empty border: cut to 28 x 28"]),
    "all at once": (
        lambda x: (255 * (1 - pad(x, (2, 2, 2, 2)))).round().byte().expand(-1, 3, -1, -1).permute(0, 2, 3, 1),
        ["3 channels", "black and white are exchanged", "cut to 28 x 28"],
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_images_of_any_usual_form_are_read_and_what_was_changed_is_said(form: str, digits: tuple[Tensor, Tensor]) -> None:
    change, notes = FORMS[form]
    found, said = as_images(change(digits[0]).numpy())
    torch.testing.assert_close(found, digits[0], atol=0.06 if form == "slightly outside" else 1 / 255, rtol=0)
    assert len(said) == len(notes)
    for note, expected in zip(said, notes, strict=True):
        assert expected in note


def test_another_size_is_resized_and_said(digits: tuple[Tensor, Tensor]) -> None:
    found, said = as_images(interpolate(digits[0], size=(64, 64), mode="bilinear").numpy())
    assert found.shape == digits[0].shape
    assert float((found - digits[0]).abs().mean()) < 0.03
    assert said == ["64 x 64: resized to 28 x 28, which blurs"]
    assert as_images(np.full((5, 28, 28), 0.25))[1] == ["all images are equal"]


def test_samples_of_others_are_brought_into_the_form_of_the_data(tmp_path: Path) -> None:
    bright, dark = torch.full((2, 3, 32, 32), 0.8), torch.zeros(2, 3, 32, 32)
    samples = torch.rand(5, 3, 32, 32)
    for form in (samples.numpy(), samples.permute(0, 2, 3, 1).numpy(), samples.flatten(1).numpy()):
        found, notes = as_images(form, bright)
        torch.testing.assert_close(found, samples)
        assert notes == []
    light = 1 - 0.1 * samples
    assert as_images(light.numpy(), bright)[1] == [], "the data have a bright border, too"
    assert "exchanged" in as_images(light.numpy(), dark)[1][0]
    assert as_images(samples[:, 0].numpy(), bright)[1] == ["grey images: red, green and blue are equal"]
    np.savez(tmp_path / "a.npz", images=samples.numpy(), labels=np.array([0, 1, 2, 3, 4]))
    assert read_images(tmp_path / "a.npz", bright, classes=5)[1] is not None
    with pytest.raises(ValueError, match="expected labels from 0 to 3"):
        read_images(tmp_path / "a.npz", bright, classes=4)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.full((3, 28, 28), np.nan), "expected finite pixels\ngot NaN or infinity in 3 images, the first is number 0"),
        (np.zeros((3, 5, 28, 28)), r"expected images \(N, H, W\).*\ngot.*\(3, 5, 28, 28\)"),
        (np.zeros((0, 28, 28)), "expected at least one image"),
        (np.full((3, 28, 28), 1000.0), r"expected pixels in \[0, 1\], \[-1, 1\] or \[0, 255\]\ngot values from 1000 to 1000"),
        (np.full((3, 28, 28), -7.0), "got values from -7 to -7"),
    ],
)
def test_what_cannot_be_images_is_refused_with_what_was_found(array: np.ndarray, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        as_images(array)


def test_folders_of_pictures_have_labels_if_their_subfolders_are_numbers(digits: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    images, labels = digits[0][:30], digits[1][:30]
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        (tmp_path / "classes" / str(int(label))).mkdir(parents=True, exist_ok=True)
        (tmp_path / "flat").mkdir(exist_ok=True)
        picture = Image.fromarray((255 * image[0]).round().byte().numpy())
        picture.save(tmp_path / "classes" / str(int(label)) / f"{number:03}.png")
        picture.convert("RGB").save(tmp_path / "flat" / f"{number:03}.png")
    found, told, notes = read_images(tmp_path / "classes")
    assert told is not None
    assert told.tolist() == sorted(labels.tolist())
    assert notes == []
    found, told, _ = read_images(tmp_path / "flat")
    torch.testing.assert_close(found, images, atol=1 / 255, rtol=0)
    assert told is None
    Image.new("L", (20, 20)).save(tmp_path / "flat" / "zzz.png")
    with pytest.raises(ValueError, match=r"expected pictures of one size, 28 x 28 .*\ngot 20 x 20 in .*zzz.png"):
        read_images(tmp_path / "flat")
    (tmp_path / "flat" / "zzz.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"expected a picture in .*zzz.png"):
        read_images(tmp_path / "flat")
    with pytest.raises(ValueError, match=r"expected pictures .*\ngot none"):
        read_images((tmp_path / "empty").mkdir() or tmp_path / "empty")


def test_labels_are_read_from_arrays_and_text_and_checked(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(10))
    np.savez(tmp_path / "b.npz", labels=np.arange(10))
    (tmp_path / "c.txt").write_text("\n".join(map(str, range(10))))
    for name in ("a.npy", "b.npz", "c.txt"):
        assert read_labels(tmp_path / name, 10).tolist() == list(range(10))
    with pytest.raises(ValueError, match="expected one label per image, 11\ngot 10 labels"):
        read_labels(tmp_path / "a.npy", 11)
    np.save(tmp_path / "d.npy", np.arange(10) + 3)
    with pytest.raises(ValueError, match="expected labels from 0 to 9\ngot values from 3 to 12"):
        read_labels(tmp_path / "d.npy", 10)
    (tmp_path / "e.txt").write_text("seven\n")
    with pytest.raises(ValueError, match="expected one label per line"):
        read_labels(tmp_path / "e.txt", 1)
    with pytest.raises(ValueError, match="expected labels in a file"):
        read_labels(tmp_path / "missing.txt", 1)


def test_the_command_prints_and_writes_all_measures_with_floor_and_controls(
    lightning, digits: tuple[Tensor, Tensor], tmp_path: Path, capsys
) -> None:
    np.savez("samples.npz", images=(2 * digits[0][:, 0] - 1).numpy(), labels=digits[1].numpy())
    assert lightning("judge", "samples.npz", "--data", "digits") == 0
    said = capsys.readouterr().out
    assert "note      pixels in [-1, 1]: moved to [0, 1]" in said
    assert "with labels" in said
    found = json.loads(Path("measures.json").read_text())
    assert found["n"] == 140
    assert found["split"] == "val"
    assert len(found["yardstick"]) == 64
    assert found["measures"].keys() == found["floor"].keys()
    assert {"kid_untrained", "kid_error_untrained", "coverage_untrained", "cas", "nearer_to_training"} <= found["measures"].keys()
    assert found["measures"]["nearer_to_training"] > 0.99, "these are training images"
    blurred = found["controls"]["blurred, window of n x n = 3"]
    assert blurred["kid_untrained"] > 10 * abs(found["floor"]["kid_untrained"])
    np.save("other.npy", digits[0].numpy())
    np.save("labels.npy", digits[1].numpy())
    assert lightning("judge", "other.npy", "--labels", "labels.npy", "--data", "digits", "--output", "other.json") == 0
    assert json.loads(Path("other.json").read_text())["measures"] == pytest.approx(found["measures"], rel=1e-3, abs=1e-3)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["missing.npz"], "got no such file or folder"),
        (["few.npy"], "expected 100 samples at least"),
        (["few.npy", "few.npy"], "expected one file or folder of samples"),
        (["pickle.npy"], "got one that cannot be read"),
        (["nothing.npz"], "expected an array 'images'"),
    ],
)
def test_bad_samples_are_refused_in_three_lines(lightning, capsys, words: list[str], expected: str) -> None:
    np.save("few.npy", np.zeros((20, 28, 28)))
    np.save("pickle.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.savez("nothing.npz", pixels=np.zeros((200, 28, 28)))
    assert lightning("judge", *words, "--data", "digits") == 2
    said = capsys.readouterr().err
    assert expected in said
    assert len(said.strip().splitlines()) <= 3


def test_without_samples_and_labels_the_command_reports_on_the_controls(lightning, capsys) -> None:
    np.savez("plain.npz", images=(255 * ImageDataModule("digits").whole().images("train")[0]).byte().numpy())
    assert lightning("judge", "--data", "plain.npz", "--num", "100") == 0
    said = capsys.readouterr().out
    assert "no judge for plain.npz, which has no labels" in said
    assert "blurred, window of n x n" in said
    assert "copies per image" in said


@needs_mnist
def test_samples_of_mnist_have_the_judges_measures_too(lightning, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setenv("MNIST_ROOT", str(mnist_root()))
    images = ImageDataModule("mnist", root=str(mnist_root())).whole().images("val")[0]
    np.save("samples.npy", images[:300, 0].numpy())
    assert lightning("judge", "samples.npy") == 0
    found = json.loads(Path("measures.json").read_text())["measures"]
    assert {"kid", "kid_second", "recognisable", "recognisable_gap", "balance", "spread"} <= found.keys()
    assert found["recognisable"] > 0.85
    assert "cas" not in found, "no labels were given"
