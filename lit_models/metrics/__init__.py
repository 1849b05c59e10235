"""Measures of generative models that torchmetrics lacks: sets of features or images in, numbers out; no model, callback or file."""

from lit_models.metrics.likelihood import importance_sampled_nats
from lit_models.metrics.neighbourhoods import Neighbourhoods

__all__ = ["Neighbourhoods", "importance_sampled_nats"]
