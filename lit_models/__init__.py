"""Classic generative models on small images, as LightningModules that say what they can do."""

__version__ = "0.1.0"
