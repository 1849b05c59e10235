"""Figures of a model while it learns, and what makes a run repeatable; each asks a model for verbs, never for its class."""

from callbacks.figures.centroids import Centroids
from callbacks.figures.codebook_usage import CodebookUsage
from callbacks.figures.latents import Latents
from callbacks.figures.neighbours import Neighbours
from callbacks.figures.reconstructions import Reconstructions
from callbacks.figures.samples import Samples
from callbacks.figures.stages import Stages
from callbacks.figures.traversal import Traversal
from callbacks.generative_metrics import GenerativeMetrics
from callbacks.keep_best_and_last import KeepBestAndLast
from callbacks.keep_training_codes import KeepTrainingCodes
from callbacks.log_density import LogDensity
from callbacks.progress import Progress
from callbacks.report import Report
from callbacks.seed_each_step import SeedEachStep
from callbacks.snapshots import Snapshots
from callbacks.stop_on_signal import StopOnSignal
from callbacks.stop_when_not_finite import StopWhenNotFinite
from callbacks.warn_of_collapse import WarnOfCollapse

__all__ = [
    "Centroids",
    "CodebookUsage",
    "GenerativeMetrics",
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
    "StopOnSignal",
    "StopWhenNotFinite",
    "Traversal",
    "WarnOfCollapse",
]
