"""On real MNIST, where it is, the shipped models learn."""

import csv
import math

import pytest
from conftest import mnist_root, needs_mnist


@needs_mnist
@pytest.mark.parametrize(
    ("model", "words", "reached"),
    [
        ("ae", [], {"val/mse": 0.035}),
        ("vae", [], {"val/mse": 0.05}),
        # A prior that knew nothing would need 16 log 256 = 88.7 nats an image.
        ("vqvae", ["--model.autoencoder_steps=110"], {"val/mse": 0.035, "val/prior": 16 * math.log(256) - 10}),
        # Three components explain 23 % of a variance of 0.067 a pixel: a linear decoder would reach 0.052.
        pytest.param("pca_ae", [], {"val/mse": 0.055}, marks=pytest.mark.by_hand),
        # The mean of all images leaves 0.067, those of the digits 0.052.
        ("anchored", [], {"val/mse": 0.06}),
        # A generator driven into black, as a sigmoid's is, loses by 6.
        pytest.param("gan", [], {"train/generator_loss": 3.5}, marks=pytest.mark.by_hand),
        pytest.param("vae_gan", [], {"train/generator_loss": 3.5, "val/mse": 0.07}, marks=pytest.mark.by_hand),
    ],
)
def test_shipped_models_learn_mnist_within_160_steps(model: str, words: list[str], reached: dict[str, float], lightning) -> None:
    short = ["--trainer.max_epochs=1", "--trainer.limit_train_batches=160", f"--data.root={mnist_root()}"]
    assert lightning("fit", "--config", model, *short, *words) == 0
    with open(f"logs/{model}/mnist/version_0/metrics.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for name, bound in reached.items():
        last = [float(row[name]) for row in rows if row[name]][-1]
        assert last < bound, name
