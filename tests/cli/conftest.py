"""The served lake of the server's own tests."""

from tests.serve.conftest import served_lake, two_models

__all__ = ["served_lake", "two_models"]
