"""The command: light answers without torch, configs by name, runs and checkpoints, and errors of three lines at most."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import DIGITS, ROOT, run_process

from lit_models.training import configs

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
        (["configs"], "vqvae              VQ-VAE"),
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
        classifiers = {"overlays/second": [], "overlays/clean": [], "overlays/dense": ["--config", "clean"]}
        own = {"overlays/matched": "anchored", "overlays/masked": "vqvae", "overlays/fsq": "vqvae", "overlays/shortcut": "flow"}
        below = "classifier" if name in classifiers else own.get(name, "vae")
        model = ["--config", below, *classifiers.get(name, [])] if name.startswith("overlays/") else []
        model += ["--config", name]
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


def test_hyperparameters_reach_hparams_once_and_make_no_chart(fit, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    fit("ae", "--trainer.max_epochs=1")
    fit("ae", "--trainer.max_epochs=2", "--ckpt_path=last")
    run = tmp_path / "logs" / "ae" / "digits" / "version_0"
    values = [value for file in run.glob("events.*") for event in EventFileLoader(str(file)).Load() for value in event.summary.value]
    assert sum(value.tag == "_hparams_/session_start_info" for value in values) == 1
    assert not any(value.tag in ("hp_metric", "epoch") or value.tag.startswith(("best/", "test/")) for value in values)


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
