"""What makes training fast changes nothing but its speed."""

import subprocess
import sys

import pytest
import torch

from lit_models.losses import squared_error
from lit_models.networks import Decoder, Encoder
from lit_models.schedules import adam

FAULTS = """
import ctypes, resource, torch
from lit_models.command.memory import keep_freed_memory
if {kept}:
    keep_freed_memory()
else:
    ctypes.CDLL(None).mallopt(-3, 2**17)  # where glibc begins; left alone it raises this now and then, by how blocks happen to lie
for step in range(30):
    if step == 10:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [torch.ones(1_000_000) for _ in range(20)]
    del blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the C library of Linux")
def test_memory_is_kept_between_steps() -> None:
    """4 MB are a thousand pages: twenty steps of twenty blocks touch 400,000 if the system has to give them anew."""
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


def test_losses_under_the_fused_optimiser_are_those_of_the_plain_one() -> None:
    fast, plain = losses(fused=True), losses(fused=False)
    torch.testing.assert_close(fast, plain, rtol=1e-4, atol=0)
    assert plain[-1] < 0.9 * plain[0]
