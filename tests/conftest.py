"""Runs of the real command on the small digits; data that tests share."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from any_images import KINDS, file_of_kind
from browser import chrome

import lit_models
from lit_models.command import main

ROOT = Path(__file__).parent.parent
# Configs of generative models.
MODELS = tuple(name for name in (*lit_models.MODELS, "gan_conditional", "latent_flow") if name != "classifier")
LENGTH = "--model.init_args.lr_steps=1720"  # that of a schedule: by default it would be that of the run as first started
GAN = [LENGTH, "--model.init_args.generator_channels=16", "--model.init_args.discriminator_channels=16"]
SMALL = {
    "ae": [LENGTH, "--model.init_args.channels=16"],
    # Six steps of autoencoder, the rest prior: the change of phase lies inside the second epoch of four batches.
    "latent_flow": ["--model.init_args.channels=16", "--model.init_args.lr_steps=6", "--model.init_args.prior_steps=50"],
    "text_flow": ["--model.init_args.channels=16", "--model.init_args.lr_steps=6", "--model.init_args.prior_steps=50"],
    "vae": [LENGTH, "--model.init_args.channels=16", "--model.init_args.kl_warmup_steps=6"],
    "vae_conditional": [LENGTH, "--model.init_args.channels=16"],
    # Six steps of autoencoder, the rest prior: the change of phase lies inside the second epoch of four batches.
    "vqvae": [
        "--model.init_args.channels=16", "--model.init_args.n_codes=32", "--model.init_args.prior_width=32",
        "--model.init_args.prior_layers=1", "--model.init_args.autoencoder_steps=6", "--model.init_args.prior_steps=50",
    ],
    "gan": [*GAN, "--model.init_args.clusters=5"],
    "gan_conditional": [*GAN, "--model.init_args.clusters=2"],
    "vae_gan": [*GAN, "--model.init_args.encoder_channels=16"],
    "flow": [LENGTH, "--model.init_args.channels=8", "--model.init_args.steps=2"],
    "pixels": [
        LENGTH, "--model.init_args.width=16", "--model.init_args.layers=1", "--model.init_args.heads=2", "--model.init_args.units=4",
    ],
    "anchored": [LENGTH, "--model.init_args.channels=16"],
    "pca_ae": [LENGTH, "--model.init_args.channels=16"],
    "pca_vae": [LENGTH, "--model.init_args.channels=16"],
    "classifier": [LENGTH, "--model.init_args.channels=16"],
}  # fmt: skip
# The promises are tested on the small digits, or on own images of a kind of tests/any_images.py: IMAGES_OF_TESTS="colour 32" pytest ...
ONLY_WITH_LABELS = ("gan_conditional", "vae_conditional", "anchored", "text_flow")
KIND = os.environ.get("IMAGES_OF_TESTS", "")
DATASET = str(file_of_kind(KIND)) if KIND else "digits"
DATA = Path(DATASET).stem  # the name that run folders have
DIGITS = [
    f"--data.init_args.dataset={DATASET}",
    "--data.init_args.epoch_images=null",
    "--data.init_args.limit=250",
    "--data.init_args.batch_size=64",
    "--trainer.accelerator=cpu",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The promises of models that need labels cannot be tested on images without labels."""
    if not KIND or KINDS[KIND][1] is not None:
        return
    for item in items:
        given = getattr(item, "callspec", None)
        if given is not None and set(ONLY_WITH_LABELS) & {value for value in given.params.values() if isinstance(value, str)}:
            item.add_marker(pytest.mark.skip(reason="the model needs labels"))


def mnist_root() -> Path | None:
    candidates = [os.environ.get("MNIST_ROOT"), ROOT.parent / "shared" / "mnist"]
    return next((Path(path).resolve() for path in candidates if path and (Path(path) / "MNIST" / "raw").is_dir()), None)


needs_mnist = pytest.mark.skipif(mnist_root() is None, reason="MNIST is in neither $MNIST_ROOT nor ../shared/mnist")


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory):
    """The command changes the program's own state: words, import path, modules, signal handlers."""
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    monkeypatch.setattr(sys, "path", list(sys.path))
    modules = set(sys.modules)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    for name in set(sys.modules) - modules:  # those of a test's own folder: the next test has others of the same name
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path_factory.getbasetemp())):
            del sys.modules[name]


@pytest.fixture
def lightning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The `lightning` command in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> int:
        return main([str(word) for word in words])

    return call


@pytest.fixture
def fit(lightning: Callable[..., int]) -> Callable[..., int]:
    """`lightning fit` of a small model on 250 small digits, four batches an epoch, without figures unless asked."""

    def call(model: str, *words: object, figures: bool = False) -> int:
        bare = [] if figures else ["--config", bare_config(model)]
        return lightning("fit", "--config", model, *bare, *DIGITS, *SMALL[model], *words)

    return call


@pytest.fixture
def stop_at(tmp_path: Path) -> Callable[..., list[str]]:
    """Words that stop a run from inside in its `step`-th batch, `how` it says."""
    from same_run import STOPPER

    (tmp_path / "stopper.py").write_text(STOPPER)

    def words(step: int, number: int = signal.SIGTERM, how: str = "signal") -> list[str]:
        place = [f"--trainer.callbacks.step={step}", f"--trainer.callbacks.signal={int(number)}", f"--trainer.callbacks.how={how}"]
        return ["--import=stopper", "--trainer.callbacks+=stopper.StopAt", *place]

    return words


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    driver = chrome(tmp_path_factory.mktemp("chromium"))
    yield driver
    driver.quit()


def bare_config(model: str) -> Path:
    """The shared callbacks without figures and measures, and for a GAN the measure by which its best model is chosen."""
    file = Path.cwd() / "bare.yaml"
    base = (ROOT / "configs" / "base.yaml").read_text()
    block = base[base.index("  callbacks:") : base.index("    # Figures and measures")]
    measures = "    - {class_path: callbacks.GenerativeMetrics, init_args: {n: 100}}\n" if "gan" in model else ""
    file.write_text(f"trainer:\n{block}{measures}")
    return file


LIGHTNING = Path(sys.executable).parent / "lightning"  # the installed command


def one_thread() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1"}


def run_process(*words: object, cwd: Path, start: Sequence[object] = (), timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """The installed command in a process of its own, one thread each."""
    command = [str(word) for word in (*(start or [LIGHTNING]), *words)]
    return subprocess.run(command, cwd=cwd, env=one_thread(), capture_output=True, text=True, timeout=timeout, check=False)


def state_of(checkpoint: Path) -> dict[str, object]:
    """What a run is made of: weights, buffers, training codes, optimiser, schedule, loader."""
    saved = torch.load(checkpoint, weights_only=True)
    loader = saved["loops"]["fit_loop"]["state_dict"].get("combined_loader")
    kept = {"state_dict", "optimizer_states", "lr_schedulers", "epoch", "global_step"}
    return {key: saved[key] for key in kept} | {"loader": loader}


def assert_equal(first: object, second: object, place: str = "") -> None:
    """Bit for bit, through dicts, lists and tensors."""
    assert type(first) is type(second), place
    if isinstance(first, dict):
        assert first.keys() == second.keys(), place
        for key in first:
            assert_equal(first[key], second[key], f"{place}.{key}")
    elif isinstance(first, (list, tuple)):
        assert len(first) == len(second), place
        for number, (one, other) in enumerate(zip(first, second, strict=True)):
            assert_equal(one, other, f"{place}[{number}]")
    elif isinstance(first, torch.Tensor):
        assert torch.equal(first, second), place
    else:
        assert first == second, place
