"""What must be there before the first page: tables as this version needs them, rights of the web, files of the pages.

Run as the owner of the database before anything else starts: ``python -m trueup.control.preparing``. Run again it
changes nothing.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import sys

from trueup.control.configuration import DATABASE_URL, OWNER_URL
from trueup.control.errors import BadConfiguration
from trueup.kernel.errors import TrueupError


def prepare() -> str | None:
    """Bring the database and the pages' files to this version; return the secret of the first link while it is needed.

    Raises
    ------
    BadConfiguration
    """
    app_url = os.environ.get(DATABASE_URL, "")
    owner_url = os.environ.get(OWNER_URL, app_url)
    os.environ[DATABASE_URL] = owner_url
    os.environ["DJANGO_SETTINGS_MODULE"] = "trueup.control.settings"

    import django
    from django.core.management import call_command

    from trueup.control.database import grant_rights, role_of

    django.setup()
    call_command("migrate", verbosity=0, interactive=False)
    call_command("createcachetable", verbosity=0)
    call_command("collectstatic", verbosity=0, interactive=False)
    if role_of(app_url) != role_of(owner_url):
        grant_rights(owner_url, role=role_of(app_url))
    from trueup.control.accounts import make_link
    from trueup.control.models import OneTimeLink, Organisation

    if Organisation.objects.exists():
        return None
    OneTimeLink.objects.filter(purpose="first", used_at=None).delete()  # the last one printed is the one that opens
    return make_link("first", at=dt.datetime.now(dt.UTC))


def main() -> int:
    """Prepare, and say in one line what is wrong where it cannot be done."""
    from django.db.utils import OperationalError

    try:
        print(json.dumps({"first_link": prepare()}))  # noqa: T201  # read by whoever started it
    except TrueupError as error:
        print(error.message, file=sys.stderr)  # noqa: T201  # this is a command
        return 3
    except OperationalError as error:
        print(BadConfiguration(f"the database does not answer: {str(error).splitlines()[0]}").message, file=sys.stderr)  # noqa: T201
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
