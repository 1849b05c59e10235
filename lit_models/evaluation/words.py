"""Whether images show what words ask for."""

import torch
from lightning.pytorch import LightningModule
from torch import Generator, Tensor

from lit_models.contracts import CanSampleText
from lit_models.evaluation.judge import Judge
from lit_models.evaluation.morphology import morphology
from lit_models.sampling.evaluation_mode import evaluation_mode
from lit_models.training.captions import LEVELS, held_out, slant_in_words, thickness_in_words


def measure_words(
    model: LightningModule, names: tuple[str, ...], real: Tensor, judge: Judge | None = None, n: int = 2000
) -> dict[str, float]:
    """Of images of random words, such as "very thin 7 leaning left": do they show what was asked for?

    `words_control` is the share that shows the class asked for. `words_thickness` and `words_slant` are correlations of what is measured
    with what was asked for, which is the mean of the real images of this level. The same with `_untold` is about combinations of class,
    thickness and slant that the training never told.

    Args:
        names: Of the classes; measures are left out if there are none, or if the model knows no words.
        real: Real images, (N, C, H, W).
        n: Images of combinations that were told, and as many of those that were not.
    """
    if not names or not isinstance(model, CanSampleText):
        return {}
    generator, found = Generator().manual_seed(0), dict[str, float]()
    means = [means_of_levels(values, levels) for values, levels in zip(morphology(real).T, LEVELS, strict=True)]
    combinations = torch.cartesian_prod(torch.arange(len(names)), torch.arange(LEVELS[0]), torch.arange(LEVELS[1]))
    for told, suffix in ((~held_out(combinations), ""), (held_out(combinations), "_untold")):
        some = combinations[told]
        asked = some[torch.randint(len(some), (n,), generator=generator)]
        texts = [f"{thickness_in_words(thick)} {names[label]} {slant_in_words(slant)}" for label, thick, slant in asked.tolist()]
        with evaluation_mode(model):
            images = torch.cat([model.sample_text(texts[start : start + 500], generator).float().cpu() for start in range(0, n, 500)])
        measured = morphology(images)
        for name, number in (("thickness", 0), ("slant", 1)):
            found[f"words_{name}{suffix}"] = correlation(means[number][asked[:, number + 1]], measured[:, number])
        if judge is not None:
            found[f"words_control{suffix}"] = float((judge.assess(images).classes == asked[:, 0]).double().mean())
    return found


def means_of_levels(values: Tensor, levels: int) -> Tensor:
    """The mean of each of `levels` equal parts of sorted values (N,), (levels,)."""
    return torch.stack([part.mean() for part in values.sort().values.tensor_split(levels)])


def correlation(one: Tensor, other: Tensor) -> float:
    """Pearson's correlation of two vectors."""
    return float(torch.corrcoef(torch.stack([one, other]).double())[0, 1])
