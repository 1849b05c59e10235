"""Steps and verbs run on a GPU that does not exist: torch's fake tensors, which have a device and no values.

They raise where tensors of two devices meet, and where a value is fetched, for which a real GPU would have to be waited for. A step may
fetch values at three places: the checks of the first batch; the moving average of weights, because torch's `AveragedModel` asks for its
count; and the codebook, which asks whether codes are dead. Backward passes are left out, because they need a driver.
"""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from builders import BUILD, build
from lightning.pytorch import LightningModule
from pretend_gpu import placed
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorDeviceMismatchError, FakeTensorMode
from torch.optim.swa_utils import AveragedModel

from lit_models.contracts import CanDecode, CanEncode, CanReconstruct
from lit_models.nn.quantiser import VectorQuantiser


def on_fake_cuda(model: LightningModule, mode: FakeTensorMode) -> LightningModule:
    """The model with fake parameters and buffers on a GPU."""

    def fake(tensor: Tensor) -> Tensor:
        found = mode.from_tensor(tensor.detach())
        with mode:
            return found.to("cuda")

    return placed(model, fake)


def in_training(model: LightningModule) -> LightningModule:
    """The model as in the middle of its training, outside Lightning."""
    model.trainer = SimpleNamespace(  # type: ignore[assignment]
        global_step=8, ckpt_path=None, is_last_batch=False, estimated_stepping_batches=100, precision="32-true", world_size=1,
        current_epoch=0, num_training_batches=50, strategy=SimpleNamespace(reduce=lambda tensor, reduce_op: tensor),
        _logger_connector=SimpleNamespace(should_update_logs=False),
    )  # fmt: skip
    model._has_seen_a_batch = model._binary = True
    model.log_dict = lambda *args, **kwargs: None  # type: ignore[method-assign]
    return model.train()


def gradients_of_zero(outputs: Tensor, inputs: Any, **options: Any) -> list[Tensor]:
    """Gradients with the shapes and devices of the right ones."""
    return [torch.zeros_like(each) for each in ([inputs] if isinstance(inputs, Tensor) else inputs)]


@pytest.fixture
def mode() -> FakeTensorMode:
    return FakeTensorMode()


@pytest.mark.parametrize("name", BUILD)
def test_verbs_stay_on_the_gpu(name: str, mode: FakeTensorMode) -> None:
    model = on_fake_cuda(build(name), mode)
    with mode, torch.no_grad():
        images = torch.rand(8, 1, 28, 28, device="cuda")
        found: list[Any] = [model.reconstruct(images)] if isinstance(model, CanReconstruct) else []
        if isinstance(model, CanEncode):
            codes = model.encode(images)
            found += [codes, *([model.decode(codes)] if isinstance(model, CanDecode) else [])]
    assert all(tensor.device.type == "cuda" for tensor in found)


@pytest.mark.parametrize("name", BUILD)
def test_a_training_step_waits_for_no_value(name: str, mode: FakeTensorMode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AveragedModel, "update_parameters", lambda self, model: None)
    monkeypatch.setattr(VectorQuantiser, "update", lambda self, vectors: None)
    monkeypatch.setattr(Tensor, "backward", lambda self: None)
    monkeypatch.setattr(torch.autograd, "grad", gradients_of_zero)
    model = in_training(on_fake_cuda(build(name), mode))
    configured = model.configure_optimizers()
    parts = [configured] if isinstance(configured, dict) else configured
    schedules = [part["lr_scheduler"]["scheduler"] for part in parts]
    optimizers = [SimpleNamespace(step=lambda: None, optimizer=part["optimizer"]) for part in parts]
    model.optimizers = lambda: optimizers  # type: ignore[method-assign]
    model.lr_schedulers = lambda: schedules  # type: ignore[method-assign]
    with mode:
        batch = [torch.rand(8, 1, 28, 28, device="cuda"), torch.zeros(8, dtype=torch.long, device="cuda")]
        if name == "pixels":
            batch[0] = (batch[0] > 0.5).float()
        loss = model.training_step(batch, 0)
    assert not model.automatic_optimization or loss.device.type == "cuda"


def test_fake_tensors_see_what_they_are_asked_to_see(mode: FakeTensorMode) -> None:
    """The controls: two devices that meet, and a value that is fetched."""
    with mode:
        there, here = torch.rand(3, device="cuda"), torch.rand(3)
        with pytest.raises(FakeTensorDeviceMismatchError):
            there + here
        with pytest.raises(DataDependentOutputException):
            float(there.sum())
