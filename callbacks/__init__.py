"""Figures and measures of a model while it learns, and the callbacks that make a run repeatable; each asks for verbs, never for a class."""

from callbacks.count_flops import CountFlops
from callbacks.figures import (
    Centroids,
    CodebookUsage,
    Completions,
    Figure,
    FromNoise,
    FromWords,
    Guidance,
    Latents,
    Neighbours,
    Reconstructions,
    Samples,
    Stages,
    Steps,
    Traversal,
)
from callbacks.generative_metrics import GenerativeMetrics
from callbacks.keep_best_and_last import KeepBestAndLast
from callbacks.log_density import LogDensity
from callbacks.progress import Progress
from callbacks.report import Report
from callbacks.reproducible import reproducible
from callbacks.seed_each_step import SeedEachStep
from callbacks.snapshots import Snapshots
from callbacks.stop_on_signal import StopOnSignal
from callbacks.stop_when_not_finite import StopWhenNotFinite
from callbacks.warn_of_collapse import WarnOfCollapse
from lit_models.sampling.keep_training_codes import KeepTrainingCodes

__all__ = [
    "Centroids",
    "CodebookUsage",
    "Completions",
    "CountFlops",
    "Figure",
    "FromNoise",
    "FromWords",
    "GenerativeMetrics",
    "Guidance",
    "KeepBestAndLast",
    "KeepTrainingCodes",
    "Latents",
    "LogDensity",
    "Neighbours",
    "Progress",
    "Reconstructions",
    "Report",
    "Samples",
    "SeedEachStep",
    "Snapshots",
    "Stages",
    "Steps",
    "StopOnSignal",
    "StopWhenNotFinite",
    "Traversal",
    "WarnOfCollapse",
    "reproducible",
]
