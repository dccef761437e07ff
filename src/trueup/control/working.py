"""Who does the jobs? ``python -m trueup.control.working``: takes them from the database until it is told to end."""

from __future__ import annotations

import os


def main() -> None:
    """Work."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "trueup.control.settings")

    import django
    from django.core.management import call_command

    django.setup()
    call_command("procrastinate", "worker", "--concurrency", "2", "--delete-jobs", "successful")


if __name__ == "__main__":
    main()
