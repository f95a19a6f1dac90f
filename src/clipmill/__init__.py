"""clipmill turns video and audio into datasets that models can be trained on."""

__version__ = "0.1.0"
