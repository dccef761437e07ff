"""Trueup takes a model from a business goal to production, and keeps it delivering what it promised."""

__version__ = "0.1.0"
__all__ = ["__version__"]
