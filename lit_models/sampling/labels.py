"""The labels that `sample` is given."""

from torch import Tensor


def check_labels(n: int, labels: Tensor | None, classes: int | None) -> None:
    """ValueError unless there are `n` labels below `classes`, or none."""
    if n < 1:
        raise ValueError(f"expected at least one sample, got n={n}")
    if labels is None:
        return
    if classes is None:
        raise ValueError("this model takes no labels as it stands: leave them out")
    if labels.shape != (n,):
        raise ValueError(f"expected {n} labels, one a sample, got shape {tuple(labels.shape)}")
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"labels must lie in 0 to {classes - 1}, got {int(labels.min())} to {int(labels.max())}")
