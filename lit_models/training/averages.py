"""Moving averages of weights, which samples come from: they vary less than the weights themselves."""

from typing import Any

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


class MovingAverage:
    """Average of weights over roughly the last tenth of the steps, until the weight of the newest has fallen to 1 - `decay`."""

    def __init__(self, decay: float) -> None:
        self.decay = decay

    def __call__(self, mean: Tensor, new: Tensor, steps: Any) -> Tensor:
        return mean.lerp(new, max(1 - self.decay, 9 / (10 + int(steps))))


def averaged(network: nn.Module, decay: float) -> AveragedModel:
    """A copy of a network whose weights are the moving average of the network's."""
    return AveragedModel(network, avg_fn=MovingAverage(decay)).requires_grad_(False)
