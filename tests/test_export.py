"""Trained models in other programs: ONNX next to PyTorch, torch.export, safetensors."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders import BUILD, build, checkpoint_of
from conftest import ROOT

from lit_models import load
from lit_models.checkpoints.archive import CheckpointError
from lit_models.checkpoints.loading import model_of
from lit_models.checkpoints.weights_file import marked, read_weights, unmarked, write_weights
from lit_models.nn.export import write_graph
from lit_models.nn.graphs import graphs_of

GRAPHS = {
    "ae": {"encode", "decode"},
    "latent_flow": {"encode", "decode", "start", "velocity"},
    "vae": {"encode", "decode"},
    "vae_conditional": {"decode"},
    "vqvae": {"encode", "decode", "lookup", "logits"},
    "gan": {"decode"},
    "gan_conditional": {"decode"},
    "vae_gan": {"encode", "decode"},
    "flow": {"velocity"},
    "text_flow": {"encode", "decode"},
    "pixels": {"logits"},
    "anchored": {"decode"},
    "pca_ae": {"encode", "decode"},
    "pca_vae": {"encode", "decode"},
}


@pytest.mark.parametrize("name", list(BUILD))
def test_every_model_has_its_graphs(name: str) -> None:
    graphs = graphs_of(build(name))
    assert set(graphs) == GRAPHS[name]
    for graph in graphs.values():
        with torch.no_grad():
            assert len(graph.network(*graph.inputs.values())) == 2


@pytest.mark.parametrize("name", list(BUILD))
def test_onnx_agrees_with_pytorch_on_batches_of_any_size(name: str, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="pip install onnxruntime")
    for kind, graph in graphs_of(build(name)).items():
        file = tmp_path / f"{kind}.onnx"
        write_graph(graph, kind, file)
        session = runtime.InferenceSession(str(file))
        assert [each.name for each in session.get_inputs()] == list(graph.inputs)
        assert [each.name for each in session.get_outputs()] == [kind]
        for n in (1, 2, 5):
            given = {key: example.repeat_interleave(3, dim=0)[:n] for key, example in graph.inputs.items()}
            with torch.no_grad():
                expected = graph.network(*given.values())
            (found,) = session.run(None, {key: value.numpy() for key, value in given.items()})
            torch.testing.assert_close(torch.from_numpy(found), expected, rtol=1e-5, atol=1e-5)


def test_the_lines_of_the_page_draw_what_a_flow_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime", reason="pip install onnxruntime")
    (lines,) = re.findall(r"```python\n(.*onnxruntime.*?)```", (ROOT / "docs" / "guides" / "export.md").read_text(), flags=re.DOTALL)
    model = build("latent_flow")
    torch.nn.init.normal_(model.prior.averaged_velocity.module.out.weight, std=0.1)  # that of an untrained flow is 0
    for kind, graph in graphs_of(model).items():
        write_graph(graph, kind, tmp_path / f"model.{kind}.onnx")
    monkeypatch.chdir(tmp_path)
    np.random.seed(0)
    found: dict[str, Any] = {}
    exec(lines, found)
    np.random.seed(0)
    noise, labels = torch.from_numpy(np.random.randn(16, 16)).float(), torch.full((16,), 7)
    with torch.no_grad():
        expected = model.decode(model.prior._from_noise(noise, labels, 1.0, 16))
    torch.testing.assert_close(torch.from_numpy(found["images"]), expected, rtol=0, atol=1e-5)


def test_torch_export_reads_its_files_back(tmp_path: Path) -> None:
    for kind, graph in graphs_of(build("vqvae")).items():
        write_graph(graph, kind, tmp_path / f"{kind}.pt2")
        program = torch.export.load(tmp_path / f"{kind}.pt2").module()
        given = [example.repeat_interleave(3, dim=0)[:5] for example in graph.inputs.values()]
        torch.testing.assert_close(program(*given), graph.network(*given))


@pytest.mark.parametrize("name", list(BUILD))
def test_weights_come_back_bit_for_bit_and_draw_the_same_samples(name: str, tmp_path: Path) -> None:
    pytest.importorskip("safetensors", reason="pip install safetensors")
    model, file = build(name), tmp_path / "model.safetensors"
    write_weights(checkpoint_of(model), file)
    back = load(file)
    assert type(back) is type(model)
    for key, value in model.state_dict().items():
        again = back.state_dict()[key]
        assert value.keys() == again.keys() if isinstance(value, dict) else torch.equal(value, again), key
    draws = [each.sample(4, generator=torch.Generator().manual_seed(1)) for each in (model, back)]
    assert torch.equal(*draws)


def test_half_precision_takes_half_the_room_and_changes_little(tmp_path: Path) -> None:
    pytest.importorskip("safetensors", reason="pip install safetensors")
    model = build("vae")
    write_weights(checkpoint_of(model), tmp_path / "whole.safetensors")
    write_weights(checkpoint_of(model), tmp_path / "half.safetensors", half=True)
    whole, half = ((tmp_path / f"{name}.safetensors").stat().st_size for name in ("whole", "half"))
    assert half < 0.51 * whole
    images = torch.rand(4, 1, 28, 28)
    back = load(tmp_path / "half.safetensors")
    assert next(back.parameters()).dtype == torch.float32
    torch.testing.assert_close(back.reconstruct(images), model.reconstruct(images), rtol=0, atol=2e-3)


def test_what_json_does_not_know_comes_back_as_it_was() -> None:
    value = {"shape": (1, 28, 28), "list": [1, (2, [3])], "none": None, "nested": {"tuple": 4, "b": (True, 0.1)}}
    assert unmarked(json.loads(json.dumps(marked(value)))) == value


@pytest.fixture
def run(fit, tmp_path: Path) -> Path:
    assert fit("vqvae", "--trainer.max_epochs=2") == 0
    return tmp_path / "logs" / "vqvae" / "digits" / "version_0"


def test_exported_weights_are_sampled_and_measured_like_the_run(run: Path, lightning, capsys, tmp_path: Path) -> None:
    pytest.importorskip("safetensors", reason="pip install safetensors")
    assert lightning("export", run, "--output", "model.safetensors") == 0
    card = (tmp_path / "model.md").read_text()
    assert "# VQVAE on digits" in card
    assert "| n_codes | 32 |" in card
    for source, output in ((run, "a.npz"), ("model.safetensors", "b.npz")):
        assert lightning("sample", source, "--num", 10, "--output", output) == 0
    first, second = (np.load(name) for name in ("a.npz", "b.npz"))
    assert np.array_equal(first["images"], second["images"])
    assert np.array_equal(first["labels"], second["labels"])
    capsys.readouterr()
    assert lightning("test", "model.safetensors", "--samples", 100) == 0
    assert "images of digits" in capsys.readouterr().out
    assert lightning("fit", "--config", "vqvae", "--ckpt_path", "model.safetensors") == 2, "there is no optimiser in it"


def test_export_writes_a_file_per_graph_and_refuses_what_it_cannot(run: Path, lightning, capsys, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="pip install onnx onnxscript")
    assert lightning("export", run, "--output", "model.onnx") == 0
    said = capsys.readouterr().out
    assert {file.name for file in tmp_path.glob("*.onnx")} == {f"model.{kind}.onnx" for kind in GRAPHS["vqvae"]}
    assert "model.logits.onnx: logits of indices (B, 16), labels (B)" in said
    assert lightning("export", run, "--output", "model.tflite") == 2
    assert lightning("export", run, "--output", "model.onnx", "--half") == 2
    assert "--half expected --output model.safetensors" in capsys.readouterr().err


def test_a_damaged_or_foreign_file_is_refused(tmp_path: Path, lightning, capsys) -> None:
    safetensors = pytest.importorskip("safetensors.torch", reason="pip install safetensors")
    write_weights(checkpoint_of(build("ae")), tmp_path / "model.safetensors")
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "short.safetensors").write_bytes(whole[: len(whole) // 2])
    safetensors.save_file({"weight": torch.ones(2)}, str(tmp_path / "foreign.safetensors"))
    for name in ("short", "foreign"):
        with pytest.raises(CheckpointError, match="holds no weights of this package"):
            read_weights(tmp_path / f"{name}.safetensors")
        assert lightning("sample", f"{name}.safetensors") == 2
        assert len(capsys.readouterr().err.strip().splitlines()) <= 3
    assert model_of(read_weights(tmp_path / "model.safetensors"), tmp_path) is not None
