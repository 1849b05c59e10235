"""Silence for what nobody at the terminal can act on."""

import logging
import warnings


def quiet() -> None:
    """Lightning's tips, torch's words to Lightning about its own code, and Lightning's about a folder that is gone on in."""
    for chatty in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.seed"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated")
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
