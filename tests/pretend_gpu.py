"""A GPU that is pretended: tensors that say that they are on it, and whose values are on the CPU.

They raise as those of a real GPU do where tensors of two devices meet, where a generator is of the other device, and where NumPy asks for
the memory. Fake tensors have no values, so nothing that looks at values, such as a figure, runs on them; here it does.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

GPU = torch.device("cuda", 0)


class OnGpu(Tensor):
    """A tensor on the pretended GPU."""

    @staticmethod
    def __new__(cls, values: Tensor) -> "OnGpu":
        found: OnGpu = Tensor._make_wrapper_subclass(
            cls, values.shape, strides=values.stride(), storage_offset=values.storage_offset(), dtype=values.dtype, device=GPU
        )
        found.values_on_cpu = values
        return found

    values_on_cpu: Tensor

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.__getitem__ and isinstance(args[1], list):  # torch would ask the driver for room for these indices
            args = (args[0], torch.tensor(args[1]))
        if func is Tensor.tolist:
            return args[0].cpu().tolist()
        with torch._C.DisableTorchFunctionSubclass():  # results are not made a subclass: those on the CPU are plain tensors
            return func(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return carry_out(func, args, kwargs or {})


class PretendGpu(TorchDispatchMode):
    """Within it, operations that ask for a GPU get the pretended one."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return carry_out(func, args, kwargs or {})


MAY_MEET = ("aten::_to_copy", "aten::copy_")
MAY_BE_INDEXED = ("aten::index", "aten::index_put_", "aten::_index_put_impl_")  # by indices on the CPU


def carry_out(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """An operation, where its tensors are or where it is asked to put its result.

    Raises:
        RuntimeError: If its tensors are on two devices, or its generator is on another one.
    """
    tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
    there = [each for each in tensors if isinstance(each, OnGpu)]
    here = [each for each in tensors if not isinstance(each, OnGpu) and each.dim() > 0]  # a number on the CPU may meet the GPU
    asked, name = kwargs.get("device"), func._schema.name
    target = torch.device(asked) if asked is not None else (GPU if there else torch.device("cpu"))
    may_meet = name in MAY_MEET or (name in MAY_BE_INDEXED and isinstance(args[0], OnGpu))
    if there and here and not may_meet:
        raise RuntimeError(f"expected all tensors of {func} on one device, got cuda and cpu")
    generator = kwargs.get("generator")
    if generator is not None and generator.device.type != target.type:
        raise RuntimeError(f"expected a generator on {target}, got one on {generator.device}")
    if asked is not None:
        kwargs = kwargs | {"device": torch.device("cpu")}
    plain_args, plain_kwargs = tree_map(lambda each: each.values_on_cpu if isinstance(each, OnGpu) else each, (args, kwargs))
    found = func(*plain_args, **plain_kwargs)
    if name == "aten::copy_":
        return args[0]
    if target.type != "cuda":
        return found
    known = {id(each.values_on_cpu): each for each in there}  # an operation in place gives back its own tensor
    return tree_map(lambda each: known.get(id(each), OnGpu(each)) if isinstance(each, Tensor) else each, found)


@contextmanager
def pretended_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine with one GPU, which is pretended."""
    with monkeypatch.context() as patch:
        patch.setattr(torch.cuda, "_lazy_init", lambda: None)
        patch.setattr(torch.cuda, "get_rng_state", lambda device=0: torch.zeros(1))
        patch.setattr(torch.cuda, "set_rng_state", lambda state, device=0: None)
        torch._C._ensureCUDADeviceGuardSet()
        with PretendGpu():
            yield


def placed(model: LightningModule, place: Callable[[Tensor], Tensor]) -> LightningModule:
    """The model with its parameters and buffers on a GPU, where `place` puts them."""
    for part in model.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                part._parameters[name] = nn.Parameter(place(parameter.detach()), parameter.requires_grad)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = place(buffer)
    model._device = GPU
    return model


def on_pretended_gpu(model: LightningModule) -> LightningModule:
    return placed(model, OnGpu)
