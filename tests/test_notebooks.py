"""The notebooks run from top to bottom, on tiny settings; those that are committed have their pictures."""

from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, mnist_root, needs_mnist

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

NOTEBOOKS = ROOT / "docs" / "notebooks"
TINY = {
    "train_a_vae": 'dataset, epochs = "digits", 1',
    "sample_one_autoencoder": "n = 50",
    "your_own_model": 'dataset, epochs, n = "mnist", 1, 200',
}


def read(name: str) -> Any:
    return nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)


def test_every_notebook_is_tested() -> None:
    assert {file.stem for file in NOTEBOOKS.glob("*.ipynb")} == TINY.keys()


@needs_mnist
@pytest.mark.parametrize("name", TINY)
def test_a_notebook_runs_from_top_to_bottom(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNIST_ROOT", str(mnist_root()))
    notebook = read(name)
    (parameters,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    parameters.source = TINY[name]
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert pictures(notebook) == pictures(read(name))


@pytest.mark.parametrize("name", TINY)
def test_a_committed_notebook_has_its_pictures_and_no_warning(name: str) -> None:
    notebook = read(name)
    assert pictures(notebook) >= 1
    printed = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs if output.output_type == "stream"]
    assert [output.text for output in printed if output.name == "stderr"] == []
    assert (NOTEBOOKS / f"{name}.ipynb").stat().st_size < 500_000


def pictures(notebook: Any) -> int:
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return sum("image/png" in output.get("data", {}) for output in outputs)
