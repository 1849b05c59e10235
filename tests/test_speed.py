"""Optimisations for speed do not change the training."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from lit_models.losses import squared_error
from lit_models.nn.adversarial import Discriminator
from lit_models.nn.autoencoder import Decoder, Encoder
from lit_models.training.adversarial import discriminator_turn
from lit_models.training.schedules import adam

FAULTS = """
import ctypes, resource, torch
from lit_models.command.memory import keep_freed_memory
if {kept}:
    keep_freed_memory()
else:
    ctypes.CDLL(None).mallopt(-3, 2**17)  # glibc's default; without this call glibc may raise it during the run
for step in range(30):
    if step == 10:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [torch.ones(1_000_000) for _ in range(20)]
    del blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs the C library of Linux")
def test_memory_is_kept_between_steps() -> None:
    """A block of 4 MB has a thousand pages, so twenty steps of twenty blocks have 400,000 page faults if freed memory is returned."""
    kept, given_back = (
        int(subprocess.run([sys.executable, "-c", FAULTS.format(kept=kept)], capture_output=True, text=True, check=True).stdout)
        for kept in (True, False)
    )
    assert kept < 4_000
    assert given_back > 10 * kept


def losses(fused: bool) -> torch.Tensor:
    torch.manual_seed(0)
    encoder, decoder, images = Encoder(4, 16), Decoder(4, 16), (torch.rand(16, 1, 28, 28) > 0.8).float()
    configured = adam([*encoder.parameters(), *decoder.parameters()], 1e-2, 20)
    optimizer, schedule = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    assert optimizer.defaults["fused"]
    optimizer.param_groups[0].update(fused=fused, foreach=False)
    found = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = squared_error(decoder(encoder(images)).sigmoid(), images).mean()
        loss.backward()
        optimizer.step()
        schedule.step()
        found.append(loss.detach())
    return torch.stack(found)


def test_an_autoencoder_has_the_same_losses_under_the_fused_and_the_plain_optimiser() -> None:
    fast, plain = losses(fused=True), losses(fused=False)
    torch.testing.assert_close(fast, plain, rtol=1e-4, atol=0)
    assert plain[-1] < 0.9 * plain[0]


def judged(fused: bool) -> torch.Tensor:
    """The discriminator's losses in penalised steps. The gradients of the penalties have another memory layout than the weights."""
    torch.manual_seed(0)
    player, labels = Discriminator(10, 16).double(), torch.arange(16) % 10
    images, fakes = torch.rand(2, 16, 1, 28, 28, dtype=torch.float64)
    optimizer = torch.optim.Adam(player.parameters(), lr=1e-2, betas=(0.0, 0.99), fused=fused, foreach=False)
    found: list[torch.Tensor] = []
    game = SimpleNamespace(
        discriminator=player, global_step=0, penalty_every=1, gamma=0.1, loss="relativistic", _trainer=None,
        trainer=SimpleNamespace(strategy=SimpleNamespace(reduce=lambda gradient, reduce_op: gradient)),
        optimizers=lambda: (None, SimpleNamespace(optimizer=optimizer)),
        log_dict=lambda terms, **_: found.append(terms["train/discriminator_loss"]),
    )  # fmt: skip
    for _ in range(10):
        discriminator_turn(game, images, fakes, labels)
    return torch.stack(found)


def test_a_discriminator_has_the_same_losses_under_the_fused_and_the_plain_optimiser() -> None:
    fast, plain = judged(fused=True), judged(fused=False)
    torch.testing.assert_close(fast, plain, rtol=1e-6, atol=0)
    assert plain[-1] < 0.9 * plain[0]


def test_the_fused_optimiser_ignores_the_memory_layout_of_gradients() -> None:
    """This is why `set_gradients` copies each gradient. Once this test fails, the copy is no longer needed."""
    after = []
    for layout in (torch.contiguous_format, torch.channels_last):
        weight = torch.nn.Parameter(torch.zeros(2, 4, 3, 3).to(memory_format=torch.channels_last))
        weight.grad = torch.arange(72.0).sin().view(2, 4, 3, 3).contiguous(memory_format=layout)
        torch.optim.Adam([weight], lr=0.1, betas=(0.0, 0.99), fused=True).step()
        after.append(weight.detach().clone(memory_format=torch.contiguous_format))
    assert not torch.equal(*after)
