"""Whose certificates TLS trusts: the system's authorities, or those of SSL_CERT_FILE and SSL_CERT_DIR.

OpenSSL's own meaning of these two: each stands for one of the two places where the system keeps them.
"""

from __future__ import annotations

import os
import re
import ssl
from functools import lru_cache
from pathlib import Path

from etl.errors import SettingsError

_FILE, _FOLDER = "SSL_CERT_FILE", "SSL_CERT_DIR"
_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Where systems keep them, for a Python whose OpenSSL was built elsewhere and looks in none of these."""


def trust() -> ssl.SSLContext:
    """The one context for both APIs, made when it is first asked for.

    Raises SettingsError for an SSL_CERT_FILE or SSL_CERT_DIR that cannot be used.
    """
    return _made(os.environ.get(_FILE) or None, os.environ.get(_FOLDER) or None)[0]


def roots() -> str:
    """Where the trusted authorities were read from. Raises SettingsError as ``trust`` does."""
    return _made(os.environ.get(_FILE) or None, os.environ.get(_FOLDER) or None)[1]


@lru_cache(maxsize=1)
def _made(file: str | None, folder: str | None) -> tuple[ssl.SSLContext, str]:
    """The context and its places. Not by ssl.create_default_context, which writes keys to SSLKEYLOGFILE."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    system = ssl.get_default_verify_paths()
    places = (
        _own_file(context, file) if file else _first_file(context, system.openssl_cafile),
        _own_folder(context, folder) if folder else _system_folder(context, system.openssl_capath),
    )
    found = " and ".join(place for place in places if place)
    return context, found or _first_file(context, *_BUNDLES) or _bundled(context)


def _own_file(context: ssl.SSLContext, file: str) -> str:
    try:
        context.load_verify_locations(cafile=file)
    except (OSError, ValueError) as exc:
        raise _unusable(_FILE, file, _why(exc)) from exc
    return f"{_FILE} ({file})"


def _own_folder(context: ssl.SSLContext, folders: str) -> str:
    if not any(_certificates_in(folder) for folder in folders.split(os.pathsep)):
        raise _unusable(_FOLDER, folders, "no directory of certificates as `openssl rehash` leaves it")
    context.load_verify_locations(capath=folders)
    return f"{_FOLDER} ({folders})"


def _first_file(context: ssl.SSLContext, *files: str) -> str | None:
    for file in files:
        try:
            context.load_verify_locations(cafile=file)
        except OSError:
            continue
        return file
    return None


def _system_folder(context: ssl.SSLContext, folder: str) -> str | None:
    if not _certificates_in(folder):
        return None
    context.load_verify_locations(capath=folder)
    return folder


def _bundled(context: ssl.SSLContext) -> str:
    """A system without any, as slim containers are."""
    import certifi  # noqa: PLC0415 -- needed there only

    context.load_verify_locations(cafile=certifi.where())
    return "the package certifi, as this system has no certificates of its own"


def _certificates_in(folder: str) -> bool:
    try:
        return any(_HASHED.fullmatch(entry.name) for entry in Path(folder).iterdir())
    except (OSError, ValueError):
        return False


def _why(exc: Exception) -> str:
    if isinstance(exc, ssl.SSLError) or not isinstance(exc, OSError):
        return "no certificate in PEM form in it"
    return exc.strerror or "unreadable"


def _unusable(variable: str, place: str, why: str) -> SettingsError:
    return SettingsError(
        f"{variable} cannot be used ({place}: {why}).",
        fix="Name the certificates of the authorities to be trusted, or unset it to trust the system's.",
    )
