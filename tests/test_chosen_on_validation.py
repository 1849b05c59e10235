"""Nothing is chosen on test images: with a test split that raises, models are trained, tuned, selected and measured all the same."""

import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import DIGITS, SMALL

from lit_models.checkpoints.loading import open_checkpoint
from lit_models.evaluation.yardstick import Values, Yardstick, yardstick_of
from lit_models.study.measuring import STAGE_MEASURES, measure_stage, measure_temperatures
from lit_models.study.plan import Plan, System

GUARDED = '''
from datamodules import ImageDataModule


class TestImagesUsed(Exception):
    pass


class Guarded(ImageDataModule):
    """Its test images are for nobody, and neither are those of the whole data set."""

    def whole(self):
        data = Guarded(self.dataset, root=str(self.root), verify=False)
        data.setup()
        return data

    def _split_of(self, name):
        if name == "test":
            raise TestImagesUsed("test images were used")
        return super()._split_of(name)

    def images(self, split):
        if split == "test":
            raise TestImagesUsed("test images were used")
        return super().images(split)

    def test_dataloader(self):
        raise TestImagesUsed("test images were used")

    predict_dataloader = test_dataloader
'''
RATES = (1e-3, 2e-4)


@pytest.fixture
def guarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The data module of a user, in a file beside the configs."""
    (tmp_path / "guarded.py").write_text(GUARDED)
    (tmp_path / "mine.yaml").write_text("data: {class_path: guarded.Guarded}\ntrainer: {max_epochs: 2}\n")
    monkeypatch.syspath_prepend(tmp_path)
    import guarded

    yield guarded
    sys.modules.pop("guarded", None)


def whole(guarded: Any) -> Any:
    return guarded.Guarded("digits").whole()


def fitted(lightning: Any, tmp_path: Path, model: str, *words: str) -> Path:
    """A run with all figures and measures, and two snapshots."""
    snapshots = ["--trainer.callbacks+=callbacks.Snapshots", "--trainer.callbacks.at_images=[100,300]"]
    before = set(tmp_path.glob("logs/*/*/version_*"))
    assert lightning("fit", "--config", model, "--config", "mine.yaml", *DIGITS, *SMALL[model], *snapshots, *words) == 0
    (run,) = set(tmp_path.glob("logs/*/*/version_*")) - before
    return run


def test_models_are_trained_tuned_and_selected_without_test_images(guarded, lightning, tmp_path: Path, capsys) -> None:
    """The conditional GAN's learning rate by hand, as its defaults are chosen: two runs, and what `lightning test` says of each."""
    runs = [fitted(lightning, tmp_path, "gan_conditional", f"--model.init_args.lr={rate}") for rate in RATES]
    runs.append(fitted(lightning, tmp_path, "vae"))
    for run in runs:
        assert (run / "checkpoints" / "best.ckpt").is_file()
        capsys.readouterr()
        assert lightning("test", run, "--import", "guarded", "--samples", 100) == 0
        output = capsys.readouterr().out
        assert "on the 143 validation images of digits" in output
        assert "val/kid_untrained" in output
        assert "test/" not in output
    assert lightning("test", runs[0], "--import", "guarded", "--samples", 100, "--temperature", 0.7) == 0


def test_the_guard_raises_where_test_images_are_asked_for(guarded, lightning, tmp_path: Path) -> None:
    """The control: the last measurement, and each door to the images."""
    run = fitted(lightning, tmp_path, "vae")
    with pytest.raises(guarded.TestImagesUsed):
        lightning("test", run, "--import", "guarded", "--samples", 100, "--split", "test")
    with pytest.raises(guarded.TestImagesUsed):
        yardstick_of("digits", whole(guarded), 100, "test")
    for data in (guarded.Guarded("digits"), whole(guarded)):
        for use in (lambda data=data: data.images("test"), data.test_dataloader, lambda data=data: data._split_of("test")):
            with pytest.raises(guarded.TestImagesUsed):
                use()


def test_a_study_measures_snapshots_and_temperatures_without_test_images(guarded, lightning, tmp_path: Path) -> None:
    run = fitted(lightning, tmp_path, "gan_conditional")
    small: Yardstick = yardstick_of("digits", whole(guarded), 100, "val")
    system = System("gan_conditional", "conditional GAN", ["gan_conditional"])
    snapshots = sorted((run / "snapshots").glob("images_*.ckpt"))
    assert len(snapshots) == 2
    for file in snapshots:
        found: Values = measure_stage(file, system, small)["values"]
        assert {"kid_untrained", "coverage_untrained"} <= found.keys() <= STAGE_MEASURES
    plan = Plan({"gan_conditional": system}, [], temperatures_of_curve=[0.5, 1.0])
    points = measure_temperatures(open_checkpoint(snapshots[-1])[0], system, plan, small)
    assert [point["temperature"] for point in points] == [0.5, 1.0]
    assert points[0]["kid_untrained"] != points[1]["kid_untrained"]
