"""Until when is a key trusted? Terms stand as text above the key in its ``.pub`` file, where PEM allows them.

``Trueup-Until: 2027-06-30`` is the last day, in UTC, on which the key signs and is believed; ``Trueup-Revoked:`` with a
reason ends it at once. A key with terms is refused where nobody says which day it is. Terms belong to the key: where it
lies there under several names, the strictest of what they say holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.bundle.errors import BadKey, KeyExpired, KeyRevoked
from trueup.kernel.digests import digest_of_bytes

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

_UNTIL, _REVOKED = "Trueup-Until", "Trueup-Revoked"
_TERM = re.compile(rf"({_UNTIL}|{_REVOKED}):[ \t]*(.*?)[ \t]*")
_PEM, _END = "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"
TRUSTED_FOLDER = "trusted"
SIGNING_KEY = "bundle-signing.key"
"""The own private key in a folder of keys; its public half beside it."""


@dataclass(frozen=True)
class KeyTerms:
    """What is written above a public key."""

    until: date | None = None
    """Last day in UTC on which it is trusted; None: for ever."""
    revoked: str | None = None
    """Why it is not trusted any more; None while it is."""


def read_terms(public_key: Path) -> KeyTerms:
    """Return the terms in a ``.pub`` file.

    Raises
    ------
    BadKey
        The file cannot be read as text, or holds a term that is not known, twice, or no date.
    """
    try:
        text = public_key.read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise BadKey(f"{public_key} cannot be read as a public key (PEM)", path=str(public_key)) from error
    above, _, rest = text.partition(_PEM)
    below = rest.partition(_END)[2]  # inside, PEM has no text
    terms: dict[str, str] = {}
    for line in _meant(above):
        term = _TERM.fullmatch(line)
        if term is None or term[1] in terms:
            raise _strange(public_key, "has a term twice or in a form that is not known")
        terms[term[1]] = term[2]
    if any(_meant(below)):
        raise _strange(public_key, "has a term below the key, where it does not count")
    return KeyTerms(_date(terms[_UNTIL], public_key) if _UNTIL in terms else None, terms.get(_REVOKED))


def _meant(text: str) -> list[str]:
    """Return the lines that somebody may have meant as a term."""
    return [line for line in text.splitlines() if "trueup" in line.lower()]


def _strange(public_key: Path, what: str) -> BadKey:
    return BadKey(
        f"{public_key} {what}; a term is {_UNTIL}: DATE or {_REVOKED}: REASON, each at most once, above the key and at "
        "the start of a line",
        path=str(public_key),
    )


def strictest(terms: Iterable[KeyTerms]) -> KeyTerms:
    """Return the terms of a key that several files hold: a revocation anywhere, the first of the last days.

    Examples
    --------
    >>> strictest([KeyTerms(), KeyTerms(date(2027, 6, 30)), KeyTerms(date(2026, 1, 1))])
    KeyTerms(until=datetime.date(2026, 1, 1), revoked=None)
    """
    every = tuple(terms)
    days = [one.until for one in every if one.until is not None]
    reasons = [one.revoked for one in every if one.revoked is not None]
    return KeyTerms(min(days, default=None), max(reasons, key=len, default=None))


def files_of(key: str, among: Sequence[Path]) -> tuple[Path, ...]:
    """Return the ``.pub`` files that hold the key with a fingerprint."""
    return tuple(path for path in among if fingerprint(path) == key)


def terms_of(public_key: Path, among: Sequence[Path]) -> KeyTerms:
    """Return the terms of a key by its own file and by those of the others that hold the same key.

    Raises
    ------
    BadKey
        One of them is no public key, or its terms cannot be read.
    """
    return strictest(map(read_terms, (public_key, *files_of(fingerprint(public_key), among))))


def refuse_lapsed(public_key: Path, *, today: date | None, among: Sequence[Path] = ()) -> None:
    """Raise where a key is not trusted today, by its file or one in `among` that holds the same key.

    Raises
    ------
    KeyRevoked
        It was revoked; the reason is told.
    KeyExpired
        Its last day is over, or it has one and `today` is None.
    """
    terms = terms_of(public_key, among) if among else read_terms(public_key)
    name = public_key.name
    if terms.revoked is not None:
        raise KeyRevoked(
            f"the key {name} was revoked{f' ({terms.revoked})' if terms.revoked else ''}; nothing it signed is "
            "believed: have the bundle packaged again with a key that is trusted (trueup package --replaces KEY)",
            key=name,
            reason=terms.revoked,
        )
    if terms.until is None:
        return
    if today is None:
        raise KeyExpired(
            f"the key {name} is trusted until {terms.until}, and the caller does not say which day it is",
            key=name,
            until=str(terms.until),
        )
    if today > terms.until:
        raise KeyExpired(
            f"the key {name} was trusted until {terms.until}, and today is {today}; sign with a newer key (trueup "
            f"package --replaces {name}), or extend it: trueup bundle trust {name} --until DATE",
            key=name,
            until=str(terms.until),
            today=str(today),
        )


def with_terms(public_key: Path, terms: KeyTerms) -> str:
    """Return the text of a ``.pub`` file with these terms in place of those it has.

    Raises
    ------
    BadKey
        There is no public key in the file that can check a signature, or the reason is more than one line of ASCII.
    """
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    text = _load(public_key).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    lines = [f"{_UNTIL}: {terms.until.isoformat()}"] if terms.until else []
    if terms.revoked is not None:
        if not terms.revoked.isascii() or not terms.revoked.isprintable():
            raise BadKey("the reason of a revocation is one line of plain ASCII text", path=str(public_key))
        lines.append(f"{_REVOKED}: {terms.revoked}")
    return "".join(f"{line}\n" for line in lines) + text


def terms_above(public_key: Path) -> str:
    """Return the lines above the key in a ``.pub`` file whose terms were read."""
    above, _, _ = public_key.read_text(encoding="ascii").partition(_PEM)
    return above


def trusted_keys(folder: Path, *, more: Sequence[Path] = ()) -> tuple[Path, ...]:
    """Return the public keys that a folder of keys trusts: the own one, those in ``trusted/`` by name, and `more`.

    Keys that lapsed are among them, so that a refusal can say so.
    """
    own = folder / f"{SIGNING_KEY}.pub"
    return (*([own] if own.is_file() else []), *sorted((folder / TRUSTED_FOLDER).glob("*.pub")), *more)


def find_key(named: str, *, keys: Path) -> Path:
    """Return a public key by the name it has in a folder of keys, with or without ``.pub``, else by its path.

    Raises
    ------
    BadKey
        There is none; the message names those that are trusted.
    """
    kept = trusted_keys(keys)
    for path in kept:
        if named in {path.name, path.stem} or Path(named).resolve() == path.resolve():
            return path
    if not Path(named).is_file():
        raise BadKey(
            f'there is no public key "{named}"; give the path of a .pub file, or one of '
            f"{', '.join(path.name for path in kept) or 'the trusted keys (none yet)'}",
            path=named,
        )
    return Path(named)


def fingerprint(public_key: Path) -> str:
    """Return the SHA-256 of a public key (DER, SubjectPublicKeyInfo), whatever its file and terms are.

    Raises
    ------
    BadKey
        When the file holds no public key that can check a signature.
    """
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return digest_of_bytes(_load(public_key).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def _load(public_key: Path) -> EllipticCurvePublicKey:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(public_key.read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise BadKey(f"{public_key} is no public key (PEM, P-256)", path=str(public_key)) from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise BadKey(f"{public_key} is no public key on a curve that signs bundles (P-256)", path=str(public_key))
    return key


def _date(text: str, public_key: Path) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise BadKey(
            f'{public_key} is trusted until "{text}", which is no date such as 2027-06-30', path=str(public_key)
        ) from error
