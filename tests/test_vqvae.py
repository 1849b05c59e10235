"""The VQ-VAE: its codebook, its two phases and its samplers."""

import pytest
import torch
from builders import build

from lit_models.losses import bernoulli_loss, commitment_loss, squared_error
from lit_models.sampling.code_frequencies import CodeFrequencies
from lit_models.vqvae import VQVAE


@torch.no_grad()
def test_vqvae_decodes_a_code_as_the_nearest_code_of_its_codebook() -> None:
    model = build("vqvae")
    codes = model.encode(torch.rand(4, 1, 28, 28))
    nearest_gap = torch.cdist(model.quantiser.codebook, model.quantiser.codebook).fill_diagonal_(9e9).min()
    noisy = codes + 0.2 * nearest_gap / codes.shape[1] ** 0.5 * torch.randn_like(codes).clamp(-1, 1)
    torch.testing.assert_close(model.decode(noisy), model.decode(codes))


@pytest.mark.parametrize(("autoencoder_steps", "moves"), [(100, {"encoder", "decoder", "quantiser"}), (-1, {"prior"})])
def test_vqvae_trains_one_part_per_phase(autoencoder_steps: int, moves: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VQVAE, "log_dict", lambda *args, **kwargs: None)
    model = VQVAE(n_codes=32, channels=16, prior_width=32, prior_layers=1, autoencoder_steps=autoencoder_steps, prior_steps=50)
    model.quantiser.update(model.encoder(torch.rand(32, 1, 28, 28)).detach())
    configured = model.configure_optimizers()
    optimizer = configured["optimizer"]
    monkeypatch.setattr(VQVAE, "lr_schedulers", lambda self: configured["lr_scheduler"]["scheduler"])
    for group in optimizer.param_groups:  # with these moments, Adam would also move a part whose gradient is zero
        for parameter in group["params"]:
            parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    before = {name: value.clone() for name, value in model.named_parameters()} | {"quantiser.codebook": model.quantiser.codebook.clone()}
    optimizer.zero_grad()
    model.training_step([torch.rand(8, 1, 28, 28), torch.arange(8)], 0).backward()
    optimizer.step()
    after = dict(model.named_parameters()) | {"quantiser.codebook": model.quantiser.codebook}
    assert {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])} == moves


@torch.no_grad()
def test_vqvae_samples_from_the_named_sampler() -> None:
    model = build("vqvae")
    assert list(model.samplers) == ["autoregressive", "frequencies", "uniform"]
    for sampler in model.samplers:
        assert model.sample(4, sampler=sampler).shape == (4, 1, 28, 28)
    with pytest.raises(ValueError, match="takes no labels"):
        model.sample(4, torch.arange(4), sampler="uniform")
    with pytest.raises(ValueError, match=r"sampler must be one of autoregressive, frequencies, uniform .* got 'gaussian'"):
        model.sample(4, sampler="gaussian")
    model.prior_begun.fill_(False)
    assert list(model.samplers) == ["frequencies", "uniform"]
    uniform = VQVAE(n_codes=32, channels=16, sampler="uniform")
    assert uniform.default_sampler == "uniform"
    assert uniform.classes is None


@torch.no_grad()
def test_frequencies_draw_the_codes_of_the_class_at_each_position() -> None:
    codes = torch.arange(50)[:, None, None].expand(50, 4, 4) % 10  # the code of every position is the label
    drawn = CodeFrequencies(codes.flatten(1), torch.arange(50) % 10).draw(20, torch.arange(20) % 10)
    assert torch.equal(drawn, (torch.arange(20) % 10)[:, None].expand(20, 16))


@torch.no_grad()
@pytest.mark.parametrize("binary", [True, False])
def test_the_reconstruction_term_is_in_nats_on_binary_images_and_a_squared_error_on_grey_ones(
    binary: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: dict[str, torch.Tensor] = {}
    monkeypatch.setattr(VQVAE, "log_dict", lambda self, terms, **kwargs: logged.update(terms))
    monkeypatch.setattr("lit_models.vqvae.phase_of", lambda module: 0)
    monkeypatch.setattr("lit_models.vqvae.phase_begins", lambda module: False)
    model, images, labels = build("vqvae"), torch.rand(8, 1, 28, 28), torch.arange(8)
    images = images.round() if binary else images
    vectors = model.encoder(images)
    model.validation_step([images, labels], 0)
    logits = model.decoder(model.encode(images))
    expected = (bernoulli_loss(logits, images) if binary else squared_error(logits.sigmoid(), images)).mean()
    torch.testing.assert_close(logged["val/reconstruction"], expected)
    torch.testing.assert_close(logged["val/mse"], squared_error(logits.sigmoid(), images).mean() / 784)
    monkeypatch.setattr(model.quantiser, "update", lambda vectors: None)
    model.training_step([images, labels], 0)
    torch.testing.assert_close(logged["train/reconstruction"], expected)
    commitment = commitment_loss(vectors, model.encode(images), 784, nats=binary).mean()
    torch.testing.assert_close(logged["train/commitment"], commitment)


def test_the_first_batch_decides_whether_images_are_binary() -> None:
    model, grey = build("vqvae"), torch.rand(2, 1, 28, 28)
    assert model._is_binary(grey.round())
    assert model._is_binary(grey), "only one batch is looked at"
    assert not build("vqvae")._is_binary(grey)
    assert not any("binary" in key for key in model.state_dict())


@torch.no_grad()
def test_the_loss_of_a_binarised_run_is_the_length_of_its_code_given_the_label(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one label in the training images, `code_length` sums over this label alone."""
    logged: dict[str, torch.Tensor] = {}
    monkeypatch.setattr(VQVAE, "log_dict", lambda self, terms, **kwargs: logged.update(terms))
    model, images = build("vqvae"), torch.rand(8, 1, 28, 28).round()
    model.training_codes.keep(model.indices(images), torch.full((8,), 4))
    model.validation_step([images, torch.full((8,), 4)], 0)
    torch.testing.assert_close(logged["val/loss"], model.code_length(images).mean())
