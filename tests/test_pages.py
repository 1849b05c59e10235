"""What all pages say: files, links, commands and configs are there, and their programs run."""

import re
import shlex
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from conftest import DIGITS, ROOT, mnist_root, needs_mnist
from pages import DOCS, PAGES, block

from benchmarks.course import commands_of
from datamodules import ImageDataModule
from lit_models import MODELS
from lit_models.command.completion import OPTIONS
from lit_models.training.configs import find

LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
FILE = re.compile(r"`((?:lit_models|callbacks|datamodules|configs|tests|benchmarks|docs)/[\w./+]*)`")
EVERY = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@EVERY
def test_every_file_and_link_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text()
    links = [link for link in LINK.findall(text) if not link.startswith(("http", "mailto"))]
    assert [link for link in links if not (page.parent / link).exists()] == []
    assert [name for name in FILE.findall(text) if not (ROOT / name).exists() and "my_" not in name] == []


@EVERY
def test_every_picture_has_a_text_that_says_what_it_shows(page: Path) -> None:
    texts = re.findall(r"!\[([^\]]*)\]\(", page.read_text())
    assert [text for text in texts if (len(text.split()) < 2 and text.isascii()) or len(text) < 5] == []


@EVERY
def test_every_command_of_a_page_exists_with_its_options_and_configs(page: Path) -> None:
    for line in commands_of(page):
        name, *words = shlex.split(line)[1:] or ["--help"]
        assert name in OPTIONS or name.startswith("--"), line
        options = [word.split("=")[0] for word in words if word.startswith("--")]
        known = {*OPTIONS.get(name, []), "--help", "--print_config"}
        arguments = ("--model.", "--data.", "--trainer.") if name in ("fit", "validate") else ()
        assert [each for each in options if each not in known and not each.startswith(arguments or "\0")] == [], line
        configs = [after for before, after in pairwise(words) if before == "--config"]
        for config in configs:
            assert config in ("linear.yaml", "mymodel") or (ROOT / config).exists() or find(config).is_file(), line


def test_every_model_has_a_page() -> None:
    """With the code that matters, the config, a picture, figures, what fails, and sources."""
    index = (DOCS / "models" / "index.md").read_text()
    for name in MODELS:
        assert f"`{name}`" in index or name == "classifier", name
    for page in (DOCS / "models").glob("*.md"):
        if page.name == "index.md":
            continue
        text = page.read_text()
        parts = ("**Idea.**", "## The code that matters", "## Config", "## Picture", "reach", "## What fails, and why", "## Sources")
        assert [part for part in parts if part not in text] == [], page.name


def test_the_model_of_a_page_trains_and_is_sampled(lightning: Any, tmp_path: Path) -> None:
    page = DOCS / "guides" / "own_model.md"
    (tmp_path / "mymodel.py").write_text(block(page, "python"))
    (tmp_path / "linear.yaml").write_text(block(page, "yaml"))
    assert lightning("fit", "--config", "linear.yaml", *DIGITS) == 0
    run = tmp_path / "logs" / "linear" / "digits"
    assert (run / "version_0" / "figures" / "centroids" / "noise" / "epoch_0003.png").is_file()
    assert lightning("sample", run, "--import", "mymodel", "--noise", 0.5, "--output", "samples.png") == 0
    assert lightning("test", run, "--import", "mymodel", "--samples", 0) == 0
    sys.modules.pop("mymodel")


@needs_mnist
def test_the_metric_of_a_page_measures_given_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNIST_ROOT", str(mnist_root()))
    images, labels = ImageDataModule("mnist").whole().images("val")
    told: dict[str, Any] = {"images": images[:300], "labels": labels[:300]}
    exec(block(DOCS / "guides" / "python.md", "python"), told)
    assert {"kid", "coverage", "cas", "nearer_to_training"} <= told["measures"].keys()
