"""Measures of generative models that torchmetrics lacks: sets of features or images in, numbers out; no model, callback or file."""

from lit_models.evaluation.codes import posterior_use, separation
from lit_models.evaluation.judge_output import JudgeOutput
from lit_models.evaluation.likelihood import importance_sampled_nats
from lit_models.evaluation.neighbourhoods import Neighbourhoods
from lit_models.evaluation.noise_response import response_to_noise, sigma50
from lit_models.evaluation.sample_quality import SampleQuality
from lit_models.evaluation.sharpness import sharpness

HEADLINES = ("recognisable", "fid", "coverage", "control", "mse", "nats")  # what HPARAMS compares runs by

__all__ = [
    "HEADLINES",
    "JudgeOutput",
    "Neighbourhoods",
    "SampleQuality",
    "importance_sampled_nats",
    "posterior_use",
    "response_to_noise",
    "separation",
    "sharpness",
    "sigma50",
]
