"""May a private key that somebody brings sign here? Its public half is kept among the trusted keys, with its terms."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from trueup.bundle.signing import check_private_key, public_key_path, public_pem
from trueup.bundle.trust import TRUSTED_FOLDER, files_of, fingerprint, refuse_lapsed, terms_above, trusted_keys


def take_key(private_key: Path, *, keys: Path, today: date | None) -> Path:
    """Return `private_key` once it may sign, and believe from now on what it signs.

    Parameters
    ----------
    private_key : Path
        PEM on the curve P-256, P-384 or P-521, not encrypted, readable by its owner only. Nothing is written beside it.
    keys : Path
        The project's folder of keys. The public half goes to ``trusted/`` in it, unless it is there already.
    today : date or None
        The day in UTC, for a key with a last day.

    Raises
    ------
    BadKey
        There is no such file, it is no such key, or other accounts can read it.
    KeyExpired, KeyRevoked
        The project, or the ``.pub`` file beside it, says that it is not trusted any more.
    """
    check_private_key(private_key)
    pem = public_pem(private_key)
    beside = public_key_path(private_key)
    terms = ""
    if beside.is_file():
        refuse_lapsed(beside, today=today)
        terms = terms_above(beside)
    folder = keys / TRUSTED_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / f".{private_key.name}.partial"
    made.write_bytes(terms.encode() + pem)
    try:
        kept = files_of(fingerprint(made), trusted_keys(keys))
        if kept:
            refuse_lapsed(kept[0], today=today, among=kept)
        else:
            name = f"{private_key.name}.pub"
            made.rename(folder / (f"{fingerprint(made)[:8]}-{name}" if (folder / name).exists() else name))
    finally:
        made.unlink(missing_ok=True)
    return private_key
