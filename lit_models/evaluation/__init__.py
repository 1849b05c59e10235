"""Measures of generative models that torchmetrics lacks: sets of features or images in, numbers out; no model, callback or file."""

from lit_models.evaluation.classification_score import classification_score
from lit_models.evaluation.codes import posterior_use, separation
from lit_models.evaluation.judge_output import JudgeOutput
from lit_models.evaluation.kernel_distance import KernelDistance
from lit_models.evaluation.likelihood import importance_sampled_nats
from lit_models.evaluation.neighbourhoods import Neighbourhoods
from lit_models.evaluation.noise_response import response_to_noise, sigma50
from lit_models.evaluation.sample_quality import SampleQuality
from lit_models.evaluation.sharpness import sharpness
from lit_models.evaluation.yardstick import JudgeSamples, Yardstick, yardstick_of

# What HPARAMS compares runs by. Samples are never ranked by `recognisable` alone: digits of one style are recognisable, too.
HEADLINES = (
    "coverage", "kid", "kid_second", "kid_untrained", "cas", "recognisable_gap", "nearer_to_training", "control", "mse", "nats",
)  # fmt: skip

__all__ = [
    "HEADLINES",
    "JudgeOutput",
    "JudgeSamples",
    "KernelDistance",
    "Neighbourhoods",
    "SampleQuality",
    "Yardstick",
    "classification_score",
    "importance_sampled_nats",
    "posterior_use",
    "response_to_noise",
    "separation",
    "sharpness",
    "sigma50",
    "yardstick_of",
]
