"""The page of the explorer as a file: its size, what it refuses, and the command that writes it."""

from pathlib import Path

import pytest
import torch
from builders import BUILD

from lit_models import AE
from lit_models.explorer.page import knowledge_of, page

onnx = pytest.importorskip("onnx", reason="pip install onnx onnxscript")


def test_a_page_of_a_flow_in_its_shipped_size_has_less_than_five_megabytes() -> None:
    model = AE(sampler="flow")
    model.training_codes.keep(torch.randn(800, 16), torch.arange(800) % 10)
    assert len(page([knowledge_of(model, "latent_flow")], "Explorer").encode()) < 5e6


@pytest.mark.parametrize("name", ["flow", "pixels"])
def test_a_model_without_codes_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected a model that decodes codes"):
        knowledge_of(BUILD[name](), name)


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
