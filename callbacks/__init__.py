"""Figures of a model while it learns, and what makes a run repeatable; each asks a model for verbs, never for its class."""

from callbacks.centroids import Centroids
from callbacks.checkpoints import KeepBestAndLast
from callbacks.codebook_usage import CodebookUsage
from callbacks.collapse import WarnOfCollapse
from callbacks.finite import StopWhenNotFinite
from callbacks.generative_metrics import GenerativeMetrics
from callbacks.latents import Latents
from callbacks.log_density import LogDensity
from callbacks.neighbours import Neighbours
from callbacks.progress import Progress
from callbacks.reconstructions import Reconstructions
from callbacks.report import Report
from callbacks.samples import Samples
from callbacks.seed_each_step import SeedEachStep
from callbacks.snapshots import Snapshots
from callbacks.stages import Stages
from callbacks.stop_on_signal import StopOnSignal
from callbacks.training_codes import KeepTrainingCodes
from callbacks.traversal import Traversal

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
