"""The command: light answers without torch, configs by name, runs and checkpoints, and errors of three lines at most."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import DIGITS, ROOT, run_process
from PIL import Image

from lit_models.command import configs

IN_A_PROCESS = """
import sys
from lit_models.command import main
code = main({words!r})
heavy = [name for name in ("torch", "lightning", "numpy", "jsonargparse") if name in sys.modules]
assert not heavy, heavy
sys.exit(code)
"""


def light(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    source = IN_A_PROCESS.format(words=list(words))
    return subprocess.run([sys.executable, "-c", source], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "lightning fit --config vqvae"),
        (["--version"], "lit-generative 0.1.0"),
        (["configs"], "vqvae                VQ-VAE"),
    ],
)
def test_light_commands_answer_without_torch(words: list[str], said: str, tmp_path: Path) -> None:
    done = light(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout


def test_bare_lightning_says_in_ten_lines_what_to_type_first(tmp_path: Path) -> None:
    assert len(light(cwd=tmp_path).stdout.splitlines()) == 10


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fti"], "did you mean fit?"),
        (["fit"], "got no config"),
        (["fit", "--config", "vqva"], "did you mean vqvae?"),
        (["fit", "--config=configs/vqvae.yml"], "did you mean vqvae?"),
        (["fit", "--config", "overlays/fsat"], "did you mean overlays/fast?"),
        (["fit", "--config", "fast"], "expected the model's config first"),
        (["fit", "--config", "broken.yaml"], "expected YAML in"),
        (["sample", "nowhere"], "got 'nowhere', which is neither"),
        (["sample", "run", "--nmu", "3"], "did you mean --num?"),
        (["test"], "required: CKPT|RUN"),
        (["board", "nowhere"], "got 'nowhere', which is not there"),
    ],
)
def test_what_needs_no_torch_to_be_refused_is_refused_without_it(words: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("model: [unclosed")
    done = light(*words, cwd=tmp_path)
    assert done.returncode == 2, done.stdout
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 3
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize("name", ["configs/vqvae.yaml", "vqvae.yaml", "vqvae"])
def test_a_config_is_found_by_path_and_by_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert configs.find(name) == ROOT / "configs" / "vqvae.yaml"
    (tmp_path / "vqvae.yaml").write_text("model: {class_path: lit_models.vqvae.VQVAE}")
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "vqvae.yaml").write_text("model: {class_path: lit_models.vqvae.VQVAE}")
    assert configs.find(name).is_relative_to(tmp_path), "on disk first"


def test_overlays_that_change_model_or_data_are_in_the_runs_name() -> None:
    names = [configs.find(name) for name in ("vae", "binarized", "cpu")]
    assert configs.run_name(names) == "vae+binarized"


def test_every_key_of_every_config_and_overlay_is_accepted(lightning, capsys) -> None:
    for name, file in configs.shipped().items():
        assert file.read_text().startswith("# "), f"{name} says in its first line what it is"
        model = ["--config", name] if not name.startswith("overlays/") else ["--config", "vae", "--config", name]
        with pytest.raises(SystemExit) as left:
            lightning("fit", *model, "--print_config")
        assert left.value.code in (0, None), capsys.readouterr().err


@pytest.mark.parametrize("name", ["ae", "vae", "vqvae", "classifier"])
def test_each_config_trains_from_its_shipped_file(name: str, lightning, tmp_path: Path, recwarn) -> None:
    assert lightning("fit", "--config", name, *DIGITS, "--trainer.max_epochs=1", "--trainer.log_every_n_steps=1") == 0
    run = tmp_path / "logs" / name / "digits" / "version_0"
    assert {"config.yaml", "metrics.csv", "checkpoints"} <= {path.name for path in run.iterdir()}
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    told = [str(w.message) for w in recwarn if not issubclass(w.category, DeprecationWarning)]
    assert told == [], "a plain run warns of nothing"


@pytest.mark.parametrize("overlay", ["fast", "cpu", "binarized"])
def test_overlays_go_with_any_model(overlay: str, fit, tmp_path: Path) -> None:
    assert fit("vae", "--config", overlay, "--trainer.max_epochs=1", "--data.init_args.limit=100") == 0
    metrics = next(tmp_path.glob("logs/vae*/digits/version_0/metrics.csv")).read_text()
    assert ("val/nelbo" in metrics) == (overlay == "binarized")


MISTAKES = {
    "key": (["--model.init_args.latent_dimm=3"], "latent_dim"),
    "trainer key": (["--trainer.max_epohcs=3"], "max_epochs"),
    "data key": (["--data.init_args.batchsize=3"], "batch_size"),
    "option": (["--sed_everything=3"], "seed_everything"),
    "class": (["--model=lit_models.ae.AEE"], "AE"),
    "callback": (["--trainer.callbacks+=callbacks.Sampels"], "Samples"),
    "value": (["--model.init_args.latent_dim=many"], "many"),
    "choice": (["--data.init_args.dataset=mnits"], "mnist"),
    "device": (["--trainer.accelerator=gpu"], "gpu"),
    "devices": (["--trainer.devices=0"], "devices"),
    "argument": (["--data.init_args.batch_size=0"], "batch_size must be at least 1, got 0"),
    "checkpoint": (["--ckpt_path=nowhere.ckpt"], "nowhere.ckpt"),
    "last": (["--ckpt_path=last"], "leave --ckpt_path out to start anew"),
    "weights": (["--weights=nowhere.ckpt"], "nowhere.ckpt"),
    "figure": (["--trainer.callbacks+=callbacks.CodebookUsage"], "HasCodebook"),
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
    words = ["fit", "--config", "ae", "--data.init_args.root=empty", "--data.init_args.fallback=null"]
    assert lightning(*words) == 2
    told = capsys.readouterr().err
    assert "set MNIST_ROOT" in told
    assert len(told.strip().splitlines()) <= 3
    assert not (tmp_path / "logs").exists()


def test_where_mnist_is_not_to_be_had_a_run_says_so_once_and_takes_the_digits(
    lightning, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datamodules import sources

    monkeypatch.setattr(sources.urllib.request, "urlopen", lambda *args, **options: (_ for _ in ()).throw(OSError("no route")))
    monkeypatch.setenv("MNIST_ROOT", str(tmp_path / "empty"))
    with pytest.warns(UserWarning, match=r"could not be downloaded \(no route\); training on digits instead: set MNIST_ROOT") as told:
        assert lightning("fit", "--config", "ae", "--config", "fast", "--data.init_args.limit=100", "--trainer.max_epochs=1") == 0
    assert sum("could not be downloaded" in str(w.message) for w in told) == 1
    assert (tmp_path / "logs" / "ae+fast" / "digits" / "version_0" / "checkpoints" / "last.ckpt").is_file()


def test_a_class_of_ones_own_beside_its_config_is_found(lightning, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "mymodel.py").write_text("from lit_models.ae import AE\nclass Mine(AE):\n    '''An AE of one's own.'''\n")
    (folder / "mine.yaml").write_text("model: {class_path: mymodel.Mine, init_args: {channels: 16}}\ntrainer: {max_epochs: 1}\n")
    assert lightning("fit", "--config", "work/mine.yaml", *DIGITS) == 0
    run = tmp_path / "logs" / "mine" / "digits" / "version_0"
    assert lightning("sample", run, "--output", "s.png") == 2, "a path inside a checkpoint is never imported unasked"
    sys.path.append(str(folder))
    assert lightning("sample", run, "--model", "mymodel.Mine", "--output", "s.png") == 0


@pytest.fixture
def vqvae_run(fit, tmp_path: Path) -> Path:
    assert fit("vqvae", "--trainer.max_epochs=2") == 0
    return tmp_path / "logs" / "vqvae" / "digits" / "version_0"


def test_a_run_is_sampled_tested_and_encoded_from_its_folder(vqvae_run: Path, lightning, tmp_path: Path, capsys) -> None:
    for run in (vqvae_run, vqvae_run.parent, vqvae_run / "checkpoints" / "last.ckpt"):
        assert lightning("sample", run, "--num", 20, "--label", 7, "--output", "s.npz") == 0
    saved = np.load("s.npz")
    assert saved["images"].shape == (20, 28, 28)
    assert saved["images"].dtype == np.uint8
    assert set(saved["labels"]) == {7}

    def draw(*words: object) -> np.ndarray:
        assert lightning("sample", vqvae_run, "--num", 10, "--output", "d.npz", *words) == 0
        return np.load("d.npz")["images"]

    assert np.array_equal(draw("--seed", 1), draw("--seed", 1))
    assert not np.array_equal(draw("--seed", 1), draw("--seed", 2))
    for words in (["--prior", "uniform"], ["--prior", "frequencies"], ["--noise", 0.5], ["--noise", 0.5, "--label", 3]):
        assert draw(*words).shape == (10, 28, 28)
    assert np.array_equal(draw("--noise", 0.0, "--label", 3)[0], draw("--noise", 0.0, "--label", 3)[9])
    assert lightning("sample", vqvae_run, "--output", "s.png") == 0
    assert np.asarray(Image.open("s.png")).shape[2] == 3
    assert lightning("predict", vqvae_run, "--output", "codes.npz") == 0
    codes = np.load("codes.npz")
    assert codes["codes"].shape[1:] == (16, 4, 4)
    assert len(codes["codes"]) == len(codes["labels"]) == 250
    capsys.readouterr()
    assert lightning("test", vqvae_run) == 0
    first = capsys.readouterr().out
    assert "test/mse" in first
    assert "test/codes_used" in first
    lightning("test", vqvae_run)
    assert capsys.readouterr().out == first


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--label", 11], "--label expected a digit from 0 to 9"),
        (["--prior", "gaussian"], "--prior expected one of"),
        (["--num", 0], "--num expected at least 1"),
        (["--output", "s.gif"], "--output expected a file ending in .png or .npz"),
        (["--output", "nowhere/s.png"], "make nowhere first"),
        (["--prior", "uniform", "--label", 3], "draw around the class centroid"),
    ],
)
def test_sample_refuses_what_it_cannot_do(words: list[object], said: str, vqvae_run: Path, lightning, capsys) -> None:
    assert lightning("sample", vqvae_run, *words) == 2
    told = capsys.readouterr().err.strip()
    assert said in told
    assert len(told.splitlines()) <= 3


def test_a_run_is_resumed_only_as_what_it_was(fit, tmp_path: Path, capsys) -> None:
    fit("ae", "--trainer.max_epochs=1")
    run = tmp_path / "logs" / "ae" / "digits" / "version_0"
    capsys.readouterr()
    assert fit("ae", "--trainer.max_epochs=2", "--ckpt_path=last", "--model.init_args.latent_dim=8", "--data.init_args.seed=3") == 2
    told = capsys.readouterr().err
    assert "data.seed 0 there, 3 here; model.latent_dim 16 there, 8 here" in told
    assert "--weights" in told
    assert fit("vae", "--trainer.max_epochs=2", f"--ckpt_path={run}") == 2
    assert "model lit_models.ae.AE there, lit_models.vae.VAE here" in capsys.readouterr().err
    assert not (tmp_path / "logs" / "vae").exists()
    assert fit("ae", "--trainer.max_epochs=1", "--data.init_args.seed=3", f"--weights={run}") == 0, "what the error says to do"
    assert [path.name for path in sorted(run.parent.iterdir())] == ["version_0", "version_1"]


def test_validate_measures_a_checkpoint_and_never_random_weights(fit, lightning, tmp_path: Path, capsys) -> None:
    fit("ae", "--trainer.max_epochs=1")
    small = ["--model.init_args.channels=16", *DIGITS]
    assert lightning("validate", "--config", "ae", *small) == 2
    assert "validate expected --ckpt_path" in capsys.readouterr().err
    assert lightning("validate", "--config", "ae", *small, "--ckpt_path=best") == 0
    assert [path.name for path in (tmp_path / "logs" / "ae" / "digits").iterdir()] == ["version_0"]


def test_a_damaged_checkpoint_is_named(fit, lightning, tmp_path: Path, capsys) -> None:
    fit("ae", "--trainer.max_epochs=1")
    best = tmp_path / "logs" / "ae" / "digits" / "version_0" / "checkpoints" / "best.ckpt"
    best.write_bytes(best.read_bytes()[:1000])
    capsys.readouterr()
    assert lightning("test", best) == 2
    assert "best.ckpt is no readable checkpoint" in capsys.readouterr().err


def test_hyperparameters_and_best_metric_reach_hparams_once(fit, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    fit("ae", "--trainer.max_epochs=1")
    fit("ae", "--trainer.max_epochs=2", "--ckpt_path=last")
    run = tmp_path / "logs" / "ae" / "digits" / "version_0"
    values = [value for file in run.glob("events.*") for event in EventFileLoader(str(file)).Load() for value in event.summary.value]
    assert sum(value.tag == "_hparams_/session_start_info" for value in values) == 1
    assert any(value.tag == "best/val/loss" for value in values)
    assert not any(value.tag == "hp_metric" for value in values)


def test_python_m_is_the_same_program_and_the_wheel_holds_the_configs(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "lit_models", "--version"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == run_process("--version", cwd=tmp_path).stdout
    build = ROOT / "pyproject.toml"
    wheel = build.read_text()
    assert '"configs"' in wheel[wheel.index("packages") :]


def test_constraints_hold_names_and_versions_only() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert lines
    assert all(line.count("==") == 1 and "/" not in line and "@" not in line for line in lines)


def test_an_error_in_code_of_ones_own_keeps_its_traceback(lightning, tmp_path: Path) -> None:
    (tmp_path / "faulty.py").write_text(
        "from lit_models.ae import AE\nclass Faulty(AE):\n    def __init__(self):\n        raise ValueError('mine')\n"
    )
    (tmp_path / "faulty.yaml").write_text("model: {class_path: faulty.Faulty}\n")
    with pytest.raises(ValueError, match="mine"):
        lightning("fit", "--config", "faulty.yaml", *DIGITS)
    assert not (tmp_path / "logs").exists()
