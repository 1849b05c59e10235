"""The VQ-VAE: its codebook, its two phases and its samplers."""

import pytest
import torch
from builders import build

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
