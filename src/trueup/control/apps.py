"""How Django knows this room."""

from __future__ import annotations

from django.apps import AppConfig


class ControlConfig(AppConfig):
    """The control plane."""

    name = "trueup.control"
    label = "control"
