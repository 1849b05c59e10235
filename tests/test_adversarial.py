"""The adversarial models: the turns of a step, samples, clusters and labels."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from builders import SMALL_GAN, build, digit_images, fit_batches, moved, tensors

from lit_models.gan import GAN
from lit_models.nn.clusters import Clusters
from lit_models.training.adversarial import check_precision


@pytest.mark.parametrize(
    ("name", "idle", "networks"),
    [
        ("gan", "gan.GAN._generator_turn", {"discriminator"}),
        ("gan", "gan.discriminator_turn", {"generator", "averaged_generator"}),
        ("gan_conditional", "gan.GAN._generator_turn", {"discriminator"}),
        ("gan_conditional", "gan.discriminator_turn", {"generator", "averaged_generator"}),
        ("vae_gan", "vae_gan.VAEGAN._autoencoder_turn", {"discriminator"}),
        ("vae_gan", "vae_gan.discriminator_turn", {"encoder", "decoder", "averaged_encoder", "averaged_decoder"}),
    ],
)
def test_a_turn_trains_only_its_own_networks(
    name: str, idle: str, networks: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build(name)
    monkeypatch.setattr(f"lit_models.{idle}", lambda *arguments: None)
    before = tensors(model)
    fit_batches(model, tmp_path)
    assert {key.split(".")[0] for key in moved(before, model)} == networks


@torch.no_grad()
def test_samples_of_a_gan_come_from_the_averaged_generator() -> None:
    model, codes = GAN(conditioning="none", **SMALL_GAN), torch.randn(4, 64)
    kept = model.decode(codes)
    for parameter in model.generator.parameters():
        parameter.add_(0.1)
    assert torch.equal(model.decode(codes), kept)
    model.averaged_generator.update_parameters(model.generator)  # the first update copies the weights
    torch.testing.assert_close(model.decode(codes), model.generator(codes).clamp(0, 1))
    before = [parameter.clone() for parameter in model.generator.parameters()]
    for parameter in model.generator.parameters():
        parameter.add_(1.0)
    model.averaged_generator.update_parameters(model.generator)  # after k updates the newest has the weight 9 / (10 + k)
    for old, average in zip(before, model.averaged_generator.parameters(), strict=True):
        torch.testing.assert_close(average, old + 9 / 11)


def test_a_gan_in_half_precision_is_refused() -> None:
    check_precision(SimpleNamespace(precision="bf16-mixed"))
    with pytest.raises(ValueError, match=r"a GAN expected --trainer.precision 32-true or bf16-mixed, got 16-mixed"):
        check_precision(SimpleNamespace(precision="16-mixed"))


@torch.no_grad()
def test_clusters_are_the_nearest_centres_and_drawn_by_their_frequency() -> None:
    clusters, images, groups = Clusters(5, groups=2), digit_images(300), torch.arange(300) % 2
    clusters.fit(images, groups)
    found = clusters(images, groups)
    for image, group, cluster in zip(images.flatten(1), groups.tolist(), found.tolist(), strict=True):
        assert cluster - 5 * group == (clusters.centres[group] - image).norm(dim=1).argmin()
    shares = torch.stack([found[groups == group].bincount(minlength=10)[5 * group : 5 * group + 5] / 150 for group in (0, 1)])
    torch.testing.assert_close(clusters.shares, shares, atol=0.05, rtol=0)
    drawn = clusters.draw(torch.ones(20_000, dtype=torch.long), torch.Generator().manual_seed(0)).bincount(minlength=10) / 20_000
    torch.testing.assert_close(drawn, torch.cat([torch.zeros(5), clusters.shares[1]]), atol=0.02, rtol=0)
    with pytest.raises(ValueError, match="expected at least 50 images"):
        Clusters(50).fit(images[:20], torch.zeros(20))


@torch.no_grad()
@pytest.mark.parametrize(("conditioning", "classes"), [("none", None), ("clusters", None), ("projection", 10), ("noise", 10)])
def test_a_gan_accepts_labels_only_if_its_conditioning_uses_them(conditioning: str, classes: int | None) -> None:
    model = GAN(conditioning=conditioning, **SMALL_GAN)
    assert model.classes == classes
    assert model.sample(3).shape == (3, 1, 28, 28)
    if classes is None:
        with pytest.raises(ValueError, match="takes no labels"):
            model.sample(3, torch.arange(3))
    else:
        assert not torch.equal(*(model.sample(1, torch.tensor([y]), torch.Generator().manual_seed(0)) for y in (0, 1)))
