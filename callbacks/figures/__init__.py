"""Figures of a model while it learns, one per file."""

from callbacks.figures.centroids import Centroids
from callbacks.figures.codebook_usage import CodebookUsage
from callbacks.figures.completions import Completions
from callbacks.figures.figure import Figure
from callbacks.figures.from_noise import FromNoise
from callbacks.figures.from_words import FromWords
from callbacks.figures.latents import Latents
from callbacks.figures.neighbours import Neighbours
from callbacks.figures.reconstructions import Reconstructions
from callbacks.figures.samples import Samples
from callbacks.figures.sampling_options import Guidance, Steps
from callbacks.figures.stages import Stages
from callbacks.figures.traversal import Traversal

__all__ = [
    "Centroids",
    "CodebookUsage",
    "Completions",
    "Figure",
    "FromNoise",
    "FromWords",
    "Guidance",
    "Latents",
    "Neighbours",
    "Reconstructions",
    "Samples",
    "Stages",
    "Steps",
    "Traversal",
]
