"""The page of the explorer as a file: its size, what it refuses, and the command that writes it."""

import os
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from browser import needs_browser, resize
from builders import BUILD, build
from PIL import Image
from test_explorer import wait_for

from lit_models import AE
from lit_models.explorer.graph_json import Weights
from lit_models.explorer.page import knowledge_of, page

onnx = pytest.importorskip("onnx", reason="pip install onnx onnxscript")


def test_a_page_of_a_flow_in_its_shipped_size_has_less_than_five_megabytes() -> None:
    model = AE(sampler="flow")
    model.training_codes.keep(torch.randn(800, 16), torch.arange(800) % 10)
    weights = Weights()
    known = knowledge_of(model, "latent_flow", weights)
    alone = page([known], weights, "Explorer")
    assert len(alone.encode()) < 5e6
    both = page([known, knowledge_of(model, "again", weights)], weights, "Explorer")
    assert len(both) < 1.3 * len(alone), "what two models share is stored once"


@pytest.mark.parametrize("name", ["flow", "pixels"])
def test_a_model_without_codes_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected a model that decodes codes"):
        knowledge_of(BUILD[name](), name, Weights())


def test_the_command_writes_a_page_of_several_runs(fit, lightning, tmp_path: Path, capsys) -> None:
    assert fit("vae", "--trainer.max_epochs=1") == 0
    assert fit("pca_ae", "--trainer.max_epochs=1") == 0
    assert lightning("explore", "logs/vae/digits", "logs/pca_ae/digits") == 0
    assert "open it in a browser" in capsys.readouterr().out
    text = (tmp_path / "explorer.html").read_text()
    assert '"title":"vae, digits"' in text
    assert '"title":"pca_ae, digits"' in text
    assert "://" not in text, "no address, so nothing can be fetched"
    assert lightning("explore", "logs/vae/digits", "--output", "page.txt") == 2


@needs_browser
def test_a_recording_shows_the_page_in_use(browser: Any, tmp_path: Path) -> None:
    """The animation of the README: EXPLORER=explorer.html SCREENSHOTS=docs/images pytest tests/test_explorer_page.py -k recording."""
    resize(browser, 980, 720)
    weights = Weights()
    (tmp_path / "explorer.html").write_text(page([knowledge_of(build("ae"), "ae", weights, points=60)], weights, "Explorer"))
    browser.get(Path(os.environ.get("EXPLORER", tmp_path / "explorer.html")).resolve().as_uri())
    wait_for(browser)
    moves = [f"moveTo(onMap([280 + 190 * Math.cos({turn}), 280 + 190 * Math.sin({turn})]))" for turn in np.linspace(0, 2 * np.pi, 18)]
    moves += ["chooseClass(3)"] + [f"get('noise').value = {sigma}; showClass()" for sigma in (0.5, 1, 1.5, 1, 0.5, 0)]
    frames = []
    for move in moves:
        browser.execute_script(move)
        shot = Image.open(BytesIO(browser.get_screenshot_as_png())).convert("RGB")
        frames.append(shot.resize((shot.width * 2 // 3, shot.height * 2 // 3), Image.Resampling.LANCZOS).quantize(128))
    target = Path(os.environ.get("SCREENSHOTS", tmp_path)) / "explorer.gif"
    frames[0].save(target, save_all=True, append_images=frames[1:], duration=200, loop=0, optimize=True)
    assert target.stat().st_size < 2e6
    assert len({frame.tobytes() for frame in frames}) > 12, "every move shows"
