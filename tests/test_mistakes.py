"""What a user gets wrong is answered in three lines at most: what was expected, what came, what to do; nothing is left behind."""

from pathlib import Path

import pytest
import torch
from conftest import DIGITS

MISTAKES = {
    "key": (["--model.init_args.latent_dimm=3"], "latent_dim"),
    "trainer key": (["--trainer.max_epohcs=3"], "max_epochs"),
    "data key": (["--data.init_args.batchsize=3"], "batch_size"),
    "option": (["--sed_everything=3"], "seed_everything"),
    "class": (["--model=lit_models.ae.AEE"], "AE"),
    "callback": (["--trainer.callbacks+=callbacks.Sampels"], "Samples"),
    "value": (["--model.init_args.latent_dim=many"], "many"),
    "choice": (["--data.init_args.dataset=mnits"], "expected dataset to be one of mnist, fashion_mnist"),
    "key of another class": (["--model.init_args.beta=3"], "another class has beta"),
    "device": (["--trainer.accelerator=gpu"], "gpu"),
    "devices": (["--trainer.devices=0"], "devices"),
    "argument": (["--data.init_args.batch_size=0"], "batch_size must be at least 1, got 0"),
    "checkpoint": (["--ckpt_path=nowhere.ckpt"], "nowhere.ckpt"),
    "last": (["--ckpt_path=last"], "leave --ckpt_path out to start anew"),
    "weights": (["--weights=nowhere.ckpt"], "nowhere.ckpt"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_answered_in_three_lines_and_leaves_nothing_behind(mistake: str, fit, tmp_path: Path, capsys) -> None:
    if mistake == "device" and torch.cuda.is_available():
        pytest.skip("there is such a device")
    words, said = MISTAKES[mistake]
    assert fit("ae", *words) == 2
    told = capsys.readouterr().err.strip()
    assert said in told
    assert 1 <= len(told.splitlines()) <= 3, told
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model: {class_path: lit_models.ae.AE, init_args: {latentdim: 3}}", "did you mean latent_dim?"),
        ("modle: {class_path: lit_models.ae.AE}", "expected the model's config first"),
        ("model: {class_path: lit_models.ae.AE}\ntrainer: {max_epcohs: 3}", "max_epochs"),
        ("model: {class_path: lit_models.ea.AE}", "lit_models.ea"),
    ],
)
def test_a_mistake_in_a_config_of_ones_own_is_answered_in_three_lines(text: str, said: str, lightning, tmp_path: Path, capsys) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    assert lightning("fit", "--config", "mine.yaml", *DIGITS) == 2
    told = capsys.readouterr().err.strip()
    assert said in told
    assert len(told.splitlines()) <= 3, told
    assert not (tmp_path / "logs").exists()


def test_no_data_is_answered_in_three_lines(lightning, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    from datamodules import sources

    monkeypatch.setattr(sources, "PATIENCE", 0.2)
    monkeypatch.setattr(sources.urllib.request, "urlopen", lambda *args, **options: (_ for _ in ()).throw(OSError("no route")))
    words = ["fit", "--config", "ae", "--data.init_args.root=empty"]
    assert lightning(*words) == 2
    told = capsys.readouterr().err
    assert "set --data.root or MNIST_ROOT" in told
    assert len(told.strip().splitlines()) <= 3
    assert not (tmp_path / "logs").exists()


def test_where_mnist_is_not_to_be_had_a_run_says_so_once_and_takes_the_digits(
    lightning, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datamodules import sources

    monkeypatch.setattr(sources.urllib.request, "urlopen", lambda *args, **options: (_ for _ in ()).throw(OSError("no route")))
    monkeypatch.delenv("MNIST_ROOT", raising=False)
    assert lightning("fit", "--config", "ae", "--config", "fast", "--data.init_args.limit=100", "--trainer.max_epochs=1") == 0
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")]
    assert len(told) == 1
    assert "mnist is not in" in told[0]
    assert "could not be downloaded (no route); training on digits instead: set MNIST_ROOT" in told[0]
    assert (tmp_path / "logs" / "ae+fast" / "digits" / "version_0" / "checkpoints" / "last.ckpt").is_file()


def test_an_error_in_code_of_ones_own_keeps_its_traceback(lightning, tmp_path: Path) -> None:
    (tmp_path / "faulty.py").write_text(
        "from lit_models.ae import AE\nclass Faulty(AE):\n    def __init__(self):\n        raise ValueError('mine')\n"
    )
    (tmp_path / "faulty.yaml").write_text("model: {class_path: faulty.Faulty}\n")
    with pytest.raises(ValueError, match="mine"):
        lightning("fit", "--config", "faulty.yaml", *DIGITS)
    assert not (tmp_path / "logs").exists()
