"""Pictures and curves reach the loggers that people use: TensorBoard, Weights & Biases, MLflow, CSV files, or none."""

import csv
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

TAGS = {"reconstructions", "samples/grid"}  # of the figures below
FIGURES = """
trainer:
  callbacks:
    - {class_path: callbacks.SeedEachStep}
    - {class_path: callbacks.StopOnSignal}
    - {class_path: callbacks.StopWhenNotFinite}
    - {class_path: callbacks.Report}
    - {class_path: callbacks.Reconstructions, init_args: {n: 16}}
    - {class_path: callbacks.Samples, init_args: {n: 16}}
"""


@pytest.fixture
def run(fit, tmp_path: Path):
    """Train a small VAE for two epochs with a logger, and return its folder."""

    def train(*words: str) -> Path:
        (tmp_path / "figures.yaml").write_text(FIGURES)
        assert fit("vae", "--config=figures.yaml", "--trainer.max_epochs=2", "--trainer.log_every_n_steps=1", *words, figures=True) == 0
        return tmp_path / "logs" / "vae" / "digits" / "version_0"

    return train


def pictures(run: Path) -> dict[str, list[Path]]:
    return {
        str(folder.relative_to(run / "figures")): sorted(folder.glob("*.png"))
        for folder in {file.parent for file in run.rglob("figures/**/*.png")}
    }


def test_weights_and_biases_offline_has_curves_and_pictures(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb", reason="pip install wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    folder = run(
        "--trainer.logger=lightning.pytorch.loggers.WandbLogger", "--trainer.logger.offline=true", "--trainer.logger.project=figures"
    )
    wandb.finish()
    assert pictures(folder).keys() >= TAGS
    (offline,) = folder.glob("wandb/offline-run-*")
    copies = {file.read_bytes() for file in offline.rglob("media/images/**/*.png")}
    assert len(copies) >= 2
    for tag in TAGS:
        newest = np.asarray(Image.open(pictures(folder)[tag][-1]))
        found = [np.asarray(Image.open(file)) for file in offline.rglob(f"media/images/{tag}*.png")]
        assert any(np.array_equal(newest, picture) for picture in found), f"{tag}, pixel by pixel"
    (record,) = offline.glob("*.wandb")
    assert b"val/loss" in record.read_bytes()


def test_mlflow_with_a_local_store_has_curves_and_pictures(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="pip install mlflow-skinny")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    store = (tmp_path / "store").as_uri()
    folder = run("--trainer.logger=lightning.pytorch.loggers.MLFlowLogger", f"--trainer.logger.tracking_uri={store}")
    client = mlflow.MlflowClient(store)
    (experiment,) = client.search_experiments(filter_string="name = 'lightning_logs'")
    (found,) = client.search_runs([experiment.experiment_id])
    assert len(client.get_metric_history(found.info.run_id, "val/loss")) == 2
    stored = next((tmp_path / "store").glob(f"*/{found.info.run_id}/artifacts/images"))
    for tag in TAGS:
        kept = [np.asarray(Image.open(file)) for file in stored.glob(f"{tag.replace('/', '~')}*.png")]
        assert len(kept) == 2, "one per epoch"
        assert any(np.array_equal(np.asarray(Image.open(pictures(folder)[tag][-1])), picture) for picture in kept), "pixel by pixel"


def test_csv_files_alone_and_no_logger_leave_pictures_as_files(run, tmp_path: Path) -> None:
    folder = run("--trainer.logger=lightning.pytorch.loggers.CSVLogger", "--trainer.logger.save_dir=logs")
    assert {len(files) for files in pictures(folder).values()} == {2}
    assert pictures(folder).keys() >= TAGS
    with next(folder.rglob("metrics.csv")).open(newline="") as stream:
        assert sum(bool(row["val/loss"]) for row in csv.DictReader(stream)) == 2


def test_no_logger_leaves_pictures_as_files(run) -> None:
    assert pictures(run("--trainer.logger=false")).keys() >= TAGS


def test_tensorboard_has_the_pictures_of_the_files_in_an_order_for_readers(run) -> None:
    folder = run()
    board = EventAccumulator(str(folder), size_guidance={"images": 0}).Reload()
    tags = sorted(board.Tags()["images"])
    assert tags[:2] == ["images/reconstructions", "images/samples"]
    assert all(tag.startswith("views/") for tag in tags[2:])
    assert sorted(board.Tags()["scalars"])[0] > tags[1], "pictures first, then curves"
    assert max(board.Tags()["scalars"]) < "views/", "then other pictures"
    for tag, file in (("images/samples", "samples/grid"), ("images/reconstructions", "reconstructions")):
        assert [len(image.encoded_image_string) > 0 for image in board.Images(tag)] == [True, True]
        newest = np.asarray(Image.open(pictures(folder)[file][-1]))
        assert np.array_equal(np.asarray(Image.open(BytesIO(board.Images(tag)[-1].encoded_image_string))), newest)


def test_no_picture_is_drawn_twice(run) -> None:
    folder = run()
    newest = {tag: files[-1].read_bytes() for tag, files in pictures(folder).items()}
    assert "samples/normal" not in newest, "the grid is that of the default sampler"
    grids = [tag for tag in newest if tag.startswith("samples/")]
    assert len({newest[tag] for tag in grids}) == len(grids) > 3
