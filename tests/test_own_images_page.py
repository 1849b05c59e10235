"""The page `docs/guides/own_images.md`: its commands, run as they stand there on a folder of colour PNGs, and its table of formats."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from any_images import write_images
from conftest import ROOT
from PIL import Image

from benchmarks.course import commands_of
from datamodules.named import NAMES

FILE = ROOT / "docs" / "guides" / "own_images.md"
PAGE = FILE.read_text()
SHORT = [  # after the page's own words
    "--data.epoch_images=null", "--data.batch_size=50", "--data.limit=200", "--trainer.max_epochs=1", "--trainer.accelerator=cpu",
]  # fmt: skip
COMMANDS = [shlex.split(line)[1:] for line in commands_of(FILE)]


def write_folders(folder: Path) -> None:
    """`mydata/` has three classes of colour PNGs, 480 in all, and `unlabelled/` has the images of one of them."""
    write_images(folder / "all.npz", (3, 32, 32), 3, n=480)
    with np.load(folder / "all.npz") as arrays:
        images, labels = arrays["images"], arrays["labels"]
    names = ("leaf", "flower", "root")
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        place = folder / "mydata" / names[label]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{number}.png")
    (folder / "mydata" / "leaf").joinpath("notes.txt").write_text("not an image")
    unlabelled = folder / "unlabelled"
    unlabelled.mkdir()
    for file in (folder / "mydata" / "flower").iterdir():
        (unlabelled / file.name).write_bytes(file.read_bytes())
    (folder / "all.npz").unlink()


@pytest.mark.reliability
def test_every_command_of_the_page_does_what_it_says(lightning: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    write_folders(Path())
    assert len(COMMANDS) > 8
    for command in COMMANDS:
        if command[0] == "board":  # a server; it is tested elsewhere
            continue
        short = {"fit": SHORT, "judge": ["--config", "fast"]}.get(command[0], [])
        assert lightning(*command, *short) == 0, (command, capsys.readouterr().err)
    said = capsys.readouterr()
    assert "mydata: a folder of 3 classes" in said.out
    figures = Path("logs/vae/mydata").glob("version_*/figures/*")
    assert {"samples", "reconstructions", "centroids", "latents"} <= {each.name for each in figures}
    for name in ("samples.png", "flowers.png"):
        assert len(Image.open(name).convert("RGB").getcolors(100_000) or []) > 100  # a picture in colours
    assert list(Path("yardsticks/mydata").glob("*.pt"))


def test_a_model_that_needs_labels_says_so(lightning: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    write_folders(Path())
    for model in ("vae_conditional", "gan_conditional", "anchored"):
        assert lightning("fit", "--config", model, "--data", "unlabelled/", *SHORT) == 2
        error = capsys.readouterr().err.strip().splitlines()
        assert len(error) <= 3
        assert "label" in error[0]
    assert not Path("logs").exists()


def test_the_python_of_the_page_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_folders(tmp_path)
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    told: dict = {}
    exec(program.replace("max_epochs=1", "max_epochs=1, accelerator='cpu', logger=False, enable_progress_bar=False"), told)
    assert told["model"].sample(2).shape == (2, 3, 32, 32)
    assert told["data"].class_names == ("flower", "leaf", "root")


def test_the_page_names_every_data_set() -> None:
    assert [name for name in NAMES if f"`{name}`" not in PAGE] == []
