"""Silence for messages on which nobody at the terminal can act."""

import logging
import warnings


def silence() -> None:
    """Lightning's tips, messages between torch and Lightning, Lightning's warning about a folder in which a run is resumed, and the warning
    that images are resized, which `fit` says in the line of the data."""
    for logger in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.seed"):
        logging.getLogger(logger).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated")
    warnings.filterwarnings("ignore", message="The number of training batches .* is smaller than the logging interval")
    warnings.filterwarnings("ignore", message=".*: networks take them so")
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
