"""Figures: what they ask for, what they leave, that they show the same each time."""

from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from PIL import Image

from callbacks import (
    Centroids,
    CodebookUsage,
    KeepTrainingCodes,
    Latents,
    LogDensity,
    Neighbours,
    Reconstructions,
    Samples,
    SeedEachStep,
    Stages,
    Traversal,
)
from callbacks.figures.centroids import medoids
from callbacks.figures.picture import grid_picture
from callbacks.figures.traversal import quantile_grid
from datamodules import ImageDataModule
from lit_models.ae import AE
from lit_models.anchored import AnchoredDecoder
from lit_models.gan import GAN
from lit_models.sampling.class_places import class_means, class_places, class_spreads
from lit_models.sampling.evaluation_mode import evaluation_mode
from lit_models.vae import VAE

FIGURES = [Centroids, CodebookUsage, Latents, LogDensity, Neighbours, Reconstructions, Samples, Stages, Traversal]


def trainer_in(folder: Path, *callbacks: object, epochs: int = 1) -> Trainer:
    quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0)
    return Trainer(accelerator="cpu", max_epochs=epochs, default_root_dir=folder, callbacks=list(callbacks), log_every_n_steps=1, **quiet)


def digits() -> ImageDataModule:
    return ImageDataModule("digits", limit=128, batch_size=64)


def test_every_validation_of_an_epoch_has_a_picture_of_its_own(tmp_path: Path) -> None:
    trainer = trainer_in(tmp_path, Reconstructions(n=8))
    trainer.val_check_interval = 0.5
    trainer.fit(AE(channels=16), datamodule=digits())
    assert sorted(file.name for file in tmp_path.rglob("*.png")) == ["epoch_0001.png", "epoch_0001_step_000001.png"]


def test_figures_are_files_at_every_epoch_and_show_the_same_inputs(tmp_path: Path) -> None:
    figures = [
        Reconstructions(n=16),
        Samples(n=16),
        Centroids(),
        Neighbours(),
        Traversal(steps=5),
        Latents(n=100),
        Latents(method="tsne", n=100, projector=0),
    ]
    trainer_in(tmp_path, SeedEachStep(), KeepTrainingCodes(), *figures, epochs=2).fit(VAE(latent_dim=2, channels=16), datamodule=digits())
    tags = {str(file.parent.relative_to(tmp_path / "figures")) for file in tmp_path.rglob("epoch_0002.png")}
    expected = {
        "reconstructions",
        "samples/grid",
        *(f"samples/{density}" for density in ("gaussian", "class_gaussian", "gmm", "class_gmm", "kde")),  # the grid is that of `normal`
        "centroids/means",
        "centroids/noise",
        "neighbours",
        "traversal/lines",
        "traversal/axes",
        "traversal/manifold",
        "latents/plane",
    }
    assert tags == expected
    pictures = [np.asarray(Image.open(tmp_path / f"figures/reconstructions/epoch_000{epoch}.png")) for epoch in (1, 2)]
    row = slice(20, 20 + 58)  # the first row of originals below the title
    assert np.array_equal(pictures[0][row], pictures[1][row])
    assert not np.array_equal(pictures[0], pictures[1])


def test_every_n_epochs_draws_those_and_the_last(tmp_path: Path) -> None:
    trainer_in(tmp_path, Reconstructions(n=8, every_n_epochs=2), epochs=3).fit(AE(channels=16), datamodule=digits())
    assert sorted(file.name for file in tmp_path.rglob("*.png")) == ["epoch_0002.png", "epoch_0003.png"]
    with pytest.raises(ValueError, match="every_n_epochs must be at least 1, got 0"):
        Reconstructions(every_n_epochs=0)


def test_black_is_zero_and_white_is_one_whatever_the_images_hold() -> None:
    dim = torch.full((4, 1, 28, 28), 0.2)
    tile = grid_picture(dim, 2, "title", scale=3)[20 + 2 : 20 + 2 + 84, 2 : 2 + 84]
    assert (tile == 51).all(), "a picture of its own range would be white"
    assert grid_picture(dim, 2, "t", rows=["a", "b"], heads=["0", "1"]).dtype == np.uint8


def test_looking_puts_modes_and_random_state_back() -> None:
    model = AE(channels=16).train()
    model.decoder.eval()
    before, modes = torch.get_rng_state(), [module.training for module in model.modules()]
    with evaluation_mode(model):
        assert not any(module.training for module in model.modules())
        assert not torch.is_grad_enabled()
        torch.randn(5)
    assert torch.equal(torch.get_rng_state(), before)
    assert [module.training for module in model.modules()] == modes


def test_class_means_and_spreads_agree_with_numpy() -> None:
    codes, labels = torch.randn(200, 3, 4, 4), torch.arange(200) % 10
    sevens = codes[labels == 7].numpy()
    np.testing.assert_allclose(class_means(codes, labels, 10)[7].numpy(), sevens.mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(class_spreads(codes, labels, 10)[7].numpy(), sevens.std(axis=0, ddof=1), rtol=1e-4)


def test_stored_codes_are_those_of_the_stored_weights(tmp_path: Path) -> None:
    model, data = AE(channels=16), digits()
    trainer = trainer_in(tmp_path, SeedEachStep(), KeepTrainingCodes())
    trainer.fit(model, datamodule=data)
    trainer.save_checkpoint(tmp_path / "m.ckpt")
    loaded = AE.load_from_checkpoint(tmp_path / "m.ckpt", map_location="cpu").eval()
    codes, labels = loaded.training_codes.get()
    images, expected = data.reference_images("train", 10_000)
    with torch.no_grad():
        torch.testing.assert_close(codes, loaded.encode(images))
    assert torch.equal(labels, expected)


def test_codebook_usage_counts_the_whole_set(tmp_path: Path) -> None:
    from lit_models.vqvae import VQVAE

    model, data = VQVAE(n_codes=32, channels=16, prior_width=32, prior_layers=1), digits()
    trainer = trainer_in(tmp_path, SeedEachStep(), CodebookUsage())
    trainer.fit(model, datamodule=data)
    with torch.no_grad():
        counts = torch.bincount(model.eval().indices(data.images("val")[0]).flatten(), minlength=32)
    share = counts / counts.sum()
    assert float(trainer.callback_metrics["val/codes_used"]) == pytest.approx(float((counts > 0).float().mean()))
    perplexity = torch.exp(-(share[share > 0] * share[share > 0].log()).sum())
    assert float(trainer.callback_metrics["val/perplexity"]) == pytest.approx(float(perplexity), rel=1e-5)


def test_the_manifold_grid_lies_at_the_normals_quantiles() -> None:
    grid = quantile_grid(5).view(5, 5, 2)
    expected = torch.special.ndtri(torch.linspace(0.02, 0.98, 5))
    torch.testing.assert_close(grid[0, :, 0], expected)
    torch.testing.assert_close(grid[:, 0, 1], -expected)


def test_a_module_without_training_codes_trains_under_the_shared_callbacks(tmp_path: Path) -> None:
    class Bare(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(784, 10)

        def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
            return torch.nn.functional.cross_entropy(self.layer(batch[0].flatten(1)), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    trainer = trainer_in(tmp_path, SeedEachStep(), KeepTrainingCodes())
    trainer.fit(Bare(), datamodule=digits())
    assert trainer.global_step == 2


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_codes_of_more_dimensions_are_projected(method: str, tmp_path: Path) -> None:
    trainer_in(tmp_path, KeepTrainingCodes(), Latents(method=method, n=100, projector=0)).fit(AE(channels=16), datamodule=digits())
    assert (tmp_path / "figures" / "latents" / method / "epoch_0001.png").is_file()


def test_codes_of_three_numbers_are_shown_in_space(tmp_path: Path) -> None:
    trainer_in(tmp_path, KeepTrainingCodes(), Latents(n=100, projector=0)).fit(AE(latent_dim=3, channels=16), datamodule=digits())
    assert (tmp_path / "figures" / "latents" / "space" / "epoch_0001.png").is_file()


def test_a_model_with_anchors_shows_these_and_half_their_distance_is_the_unit(tmp_path: Path) -> None:
    model = AnchoredDecoder(latent_dim=16, channels=16)
    places, units, unit = class_places(model)
    assert torch.equal(places, model.anchors())
    torch.testing.assert_close(units, torch.full((10, 16), 2.0))  # sqrt(16) / 2
    assert unit == "half-distances between anchors"
    trainer_in(tmp_path, Centroids(), Traversal(steps=3)).fit(model, datamodule=digits())
    tags = {str(file.parent.relative_to(tmp_path / "figures")) for file in tmp_path.rglob("*.png")}
    assert tags == {"centroids/means", "centroids/noise", "traversal/lines"}


def test_a_medoid_is_the_code_with_the_least_distance_to_its_class() -> None:
    codes, labels = torch.randn(60, 3), torch.arange(60) % 10
    for digit, found in enumerate(medoids(codes, labels, range(10))):
        own = codes[labels == digit]
        sums = [sum(float((one - other).norm()) for other in own) for one in own]
        assert torch.equal(found, own[sums.index(min(sums))])


def test_stages_are_taken_at_doubling_ages_and_survive_a_resume(tmp_path: Path) -> None:
    stages = Stages(first=1)
    trainer_in(tmp_path, stages, epochs=3).fit(GAN(generator_channels=16, discriminator_channels=16), datamodule=digits())
    assert list(stages.rows) == [1, 2, 4]  # of six batches
    again = Stages(first=1)
    again.load_state_dict(stages.state_dict())
    assert list(again.rows) == [1, 2, 4]
    stages = Stages()
    trainer_in(tmp_path / "vae", stages).fit(VAE(channels=16), datamodule=digits())
    assert "VAE is sampled by codes of training images" in stages.missing
    heights = [np.asarray(Image.open(tmp_path / f"figures/samples/stages/epoch_000{epoch}.png")).shape[0] for epoch in (1, 3)]
    assert heights[1] - heights[0] == 2 * 58, "two rows more: of four batches, and of the model as it is"


def test_held_out_log_density_is_logged_for_each_density(tmp_path: Path) -> None:
    model, data = AE(latent_dim=3, channels=16), digits()
    trainer = trainer_in(tmp_path, KeepTrainingCodes(), LogDensity())
    trainer.fit(model, datamodule=data)
    logged = {name for name in trainer.callback_metrics if name.startswith("val/log_density_")}
    assert logged == {f"val/log_density_{name}" for name in model.samplers}
    with torch.no_grad():
        codes = model.eval().encode(data.reference_images("val", 1000)[0])
    expected = model.training_codes.density("gmm", 3, 10).log_density(codes).mean()
    assert float(trainer.callback_metrics["val/log_density_gmm"]) == pytest.approx(float(expected), rel=1e-4)


def test_a_step_is_a_batch_for_a_gan_too(tmp_path: Path) -> None:
    trainer = trainer_in(tmp_path, epochs=2)
    trainer.fit(GAN(generator_channels=16, discriminator_channels=16), datamodule=digits())
    assert trainer.global_step == trainer.fit_loop.epoch_loop._batches_that_stepped == 4
