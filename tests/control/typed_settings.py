"""Django's settings as the type checker reads them: no installation is there."""

from __future__ import annotations

import os
import tempfile

os.environ.setdefault("TRUEUP_DATABASE_URL", "postgresql://nobody@localhost/nothing")
os.environ.setdefault("TRUEUP_HOME", tempfile.mkdtemp())

from trueup.control.settings import *  # noqa: F403
