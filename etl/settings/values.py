"""What a setting may hold: read from text, checked, and never shown."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr, StringConstraints
from pydantic import Field as Bounds
from pydantic_core import PydanticCustomError
from pydantic_settings import NoDecode

from etl.instants import duration
from etl.naming import checked_property, nearest
from etl.network import urls
from etl.policies import Policy

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Confidential:
    """Marks a setting that may hold a secret, and may thus stand in a file of its own.

    ``is_secret`` says of a text whether it holds one.
    """

    is_secret: Callable[[str], bool] = bool


MOST_REQUESTS = 1_000_000_000
"""In a month or a day; far more than anybody is allowed, and few enough for every database."""

_QUOTE = re.compile(r"(QUOTATION MARK|APOSTROPHE|GRAVE ACCENT|ACUTE ACCENT)\b")


def _unquoted(text: str) -> str:
    """``text``, unless it begins or ends with a quotation mark, as what is pasted from a manual may."""
    if any(_QUOTE.search(unicodedata.name(edge, "")) for edge in {*text[:1], *text[-1:]}):
        raise ValueError("is in quotes; leave them out")
    return text


def _duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    try:
        parsed = duration(str(value))
    except ValueError:
        raise ValueError("must be a duration such as 4m50s, 1h or 30d") from None
    if parsed < timedelta(0):
        raise ValueError("must not be negative")
    return parsed


def _url(value: str) -> str:
    return urls.checked(_unquoted(value))


def _state_url(value: str) -> str:
    from etl.state.urls import fault  # noqa: PLC0415 -- sqlalchemy, which not every command needs

    if wrong := fault(value):
        raise ValueError(wrong)
    return value


def _secret(value: SecretStr) -> SecretStr:
    text = value.get_secret_value().strip()
    if not text:
        raise PydanticCustomError("missing", "is blank")
    _unquoted(text)
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must be one word of printable ASCII characters")
    return SecretStr(text)


def _api_key(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if text.startswith("pat-"):
        raise ValueError("begins with pat-, as a token of HubSpot: it and HUBSPOT_ACCESS_TOKEN seem swapped")
    if text.startswith("ZV_"):
        raise ValueError(
            "is the public tracking code; the secret key begins with lower-case zv_"
            " (Zenovay: settings, API keys)"
        )
    return value


def _access_token(value: SecretStr) -> SecretStr:
    if value.get_secret_value().startswith(("zv_", "ZV_")):
        raise ValueError("begins with zv_, as a key of Zenovay: it and ZENOVAY_API_KEY seem swapped")
    return value


def _websites(value: object) -> object:
    if not isinstance(value, str):
        return value
    names = [name.strip() for name in value.split(",") if name.strip()]
    for name in names:
        _unquoted(name)
    if len(set(names)) != len(names):
        raise ValueError("names a website twice")
    if any(re.search(r"[/?#\s]", name) or not name.isprintable() for name in names):
        raise ValueError("must be website ids, separated by commas")
    return tuple(names)


def _file(value: object) -> object:
    try:
        return Path(value.strip()).expanduser() if isinstance(value, str) else value
    except RuntimeError:
        raise ValueError("begins with ~, and whose home that is is not known") from None


def _ping_url(value: SecretStr) -> SecretStr:
    from etl.watch.ping import checked_ping_url  # noqa: PLC0415 -- few need it

    return SecretStr(checked_ping_url(value.get_secret_value().strip()))


def _webhook(value: SecretStr) -> SecretStr:
    return SecretStr(_url(value.get_secret_value().strip()))


def _notified(value: SecretStr) -> SecretStr:
    from etl.watch.channels import parse_notify  # noqa: PLC0415 -- as above

    parse_notify(value.get_secret_value())
    return value


def _has_password(url: str) -> bool:
    try:
        return bool(urlsplit(url).password)
    except ValueError:
        return True


def _names_url(text: str) -> bool:
    return "://" in text


def _share(value: object) -> object:
    text = str(value).strip()
    try:
        text.encode("ascii")  # float takes the digits of every script
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        raise ValueError("must be a share such as 20% or 0.2") from None
    if not 0 <= share <= 1:
        raise ValueError("must be a share from 0% to 100%")
    return share


def _policy(value: object) -> object:
    if not isinstance(value, str):
        return value
    word = value.strip().lower()
    known = [policy.value for policy in Policy]
    if word not in known:
        raise ValueError(f"must be one of {', '.join(known)}; the nearest one is {nearest(word, known)}")
    return Policy(word)


def _version(value: str) -> str:
    if not re.fullmatch(r"v3|[0-9]{4}-[0-9]{2}", value):
        raise ValueError("must be YYYY-MM, the year and month of a version, or v3")
    return value


Version = Annotated[str, AfterValidator(_version)]
WritePolicy = Annotated[Policy, BeforeValidator(_policy)]
Month = Annotated[int, Bounds(ge=1, le=MOST_REQUESTS)]
Duration = Annotated[timedelta, BeforeValidator(_duration)]
File = Annotated[Path, BeforeValidator(_file)]
Share = Annotated[float, BeforeValidator(_share)]
Url = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_url)]
StateUrl = Annotated[
    str,
    StringConstraints(strip_whitespace=True),
    AfterValidator(_state_url),
    Confidential(_has_password),
]
Secret = Annotated[SecretStr, AfterValidator(_secret), Confidential()]
PropertyName = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(checked_property)]

ApiKey = Annotated[Secret, AfterValidator(_api_key)]
AccessToken = Annotated[Secret, AfterValidator(_access_token)]
Websites = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_websites), Bounds(min_length=1)]
PingUrl = Annotated[SecretStr, AfterValidator(_ping_url), Confidential()]
Webhook = Annotated[SecretStr, AfterValidator(_webhook), Confidential()]
Notified = Annotated[SecretStr, AfterValidator(_notified), Confidential(_names_url)]
