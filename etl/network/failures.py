"""What it means that a connection failed: a cause that lasts is a wrong setting, any other may pass."""

from __future__ import annotations

import os
import socket
import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING

from etl.errors import AccessRefusedError, SettingsError
from etl.redact import vendor_text
from etl.retry import TransientError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etl.errors import SyncError
    from etl.network.route import Route

_PLAIN = frozenset({
    "WRONG_VERSION_NUMBER",
    "HTTP_REQUEST",
    "HTTPS_PROXY_REQUEST",
    "UNKNOWN_PROTOCOL",
    "PACKET_LENGTH_TOO_LONG",
    "RECORD_LAYER_FAILURE",
})  # fmt: skip
"""What OpenSSL, of 1.1 to 3.5, makes of an answer that is not TLS."""

_LOGIN = (
    "User and password stand before its host there, with a colon between and an at sign behind them, and %XX"
    " for special characters."
)
"""Without an example, which would look like an e-mail address."""

_MAY_PASS = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})


Kinds = tuple[tuple[type[Exception], str], ...]
"""What it means that a library raises one of its own errors, those first that say more."""

NO_CONNECTION = "{route.next_hop} could not be reached in time"
NO_ANSWER = "{route.host} gave no answer in time"
UNDECODABLE = "the answer of {route.host} could not be decompressed"
NO_HTTP = "{route.next_hop} broke off its answer, or speaks no HTTP"


class UnknownHostError(TransientError):
    """A host name that does not resolve: an outage of the name server, or a name that was never right."""


class ImpassableError(SettingsError):
    """No request over this way arrives until somebody changes it: not TLS, not trusted, not a proxy."""


def failed(error: BaseException, route: Route, kinds: Kinds = ()) -> SyncError | TransientError:
    """What to raise for an exchange over ``route`` that ``error`` ended.

    ``kinds`` decide where nothing better can be read from the error. Nothing of a library's own text is said:
    it may hold the URL.
    """
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _untrusted(cause, route)
        if isinstance(cause, ssl.SSLError) and _reason(cause) in _PLAIN:
            return _not_tls(route)
        if isinstance(cause, socket.gaierror | UnicodeError):
            return _unknown_host(route)
    words = next((said for cause in causes if (said := _in_words(cause, route))), None)
    by_kind = (said.format(route=route) for kind, said in kinds if isinstance(error, kind))
    return TransientError(words or next(by_kind, f"the connection to {route.next_hop} broke off"))


def late(route: Route, deadline_s: float) -> TransientError:
    """What to raise for an exchange that took longer than ``deadline_s`` seconds."""
    return TransientError(f"{route.host} gave no whole answer within {deadline_s:g} s")


def tunnel_refused(status: int, route: Route) -> SyncError | TransientError:
    """What to raise for a proxy that answers CONNECT with ``status`` instead of connecting."""
    said = f"{route.proxy} answered {status} instead of connecting to {route.host}"
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return login_wanted(route)
    if status in _MAY_PASS or (
        status >= HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.NOT_IMPLEMENTED
    ):
        return TransientError(said)
    variable = route.proxy.variable if route.proxy else "HTTPS_PROXY"
    fix = f"Have it allow {route.host}, correct {variable}, or list the host in NO_PROXY; nothing is lost."
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return AccessRefusedError(f"{_capital(said)}.", fix=fix)
    return ImpassableError(f"{_capital(said)}: is it a proxy?", fix=fix)


def login_wanted(route: Route) -> AccessRefusedError:
    """A 407, wherever it was answered."""
    if route.proxy is None:
        return AccessRefusedError(
            f"A proxy on the way to {route.host} asks for a user and a password (407).",
            fix=f"Name it in HTTPS_PROXY. {_LOGIN}",
        )
    wants = (
        "does not accept its user and password" if route.proxy.credentials else "asks for a user and password"
    )
    return AccessRefusedError(
        f"{_capital(str(route.proxy))} {wants} (407).",
        fix=f"Correct {route.proxy.variable}. {_LOGIN}",
    )


def _untrusted(error: ssl.SSLCertVerificationError, route: Route) -> ImpassableError:
    why = vendor_text(str(error.verify_message)).rstrip(".")
    return ImpassableError(
        f"The certificate of {_over_tls(route)} is not trusted: {why}.",
        fix=f"Check {route.setting} and the clock of this machine; where a proxy or firewall inspects TLS,"
        " name the certificate of its authority in SSL_CERT_FILE. The key was not sent.",
    )


def _not_tls(route: Route) -> ImpassableError:
    return ImpassableError(
        f"{_capital(_over_tls(route))} answers TLS with something else, most likely plain HTTP.",
        fix=f"Check host and port in {_named_in(route)}.",
    )


def _over_tls(route: Route) -> str:
    """Whoever may have been spoken TLS to: a proxy may want it, too."""
    return f"{route.proxy} or {route.host}" if _tls_to_proxy(route) else route.host


def _named_in(route: Route) -> str:
    return (
        f"{route.proxy.variable} and {route.setting}"
        if route.proxy and _tls_to_proxy(route)
        else route.setting
    )


def _tls_to_proxy(route: Route) -> bool:
    return route.proxy is not None and route.proxy.scheme == "https"


def _unknown_host(route: Route) -> UnknownHostError:
    named_by = route.proxy.variable if route.proxy else route.setting
    whose = f"of {route.proxy}" if route.proxy else f"{route.host} ({route.setting})"
    return UnknownHostError(
        f"the host name {whose} could not be resolved",
        fix=f"Correct {named_by}, or the name server of this machine.",
    )


def _in_words(error: BaseException, route: Route) -> str | None:
    if isinstance(error, ConnectionRefusedError):
        return f"{route.next_hop} could not be reached (connection refused)"
    if isinstance(error, ssl.SSLError):
        return f"the TLS connection to {route.host} broke off ({_reason(error)})"
    if isinstance(error, ConnectionError):
        return f"the connection to {route.next_hop} broke off"
    if isinstance(error, OSError) and isinstance(error.errno, int):  # PySocks puts a sentence there
        return f"{route.next_hop} could not be reached ({os.strerror(error.errno)})"
    return None


def _reason(error: ssl.SSLError) -> str:
    """OpenSSL's name for what was wrong; an error that Python itself raises has none."""
    return getattr(error, "reason", None) or "without a reason"


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _causes(error: BaseException) -> Iterator[BaseException]:
    """``error`` and all that is behind it, as the libraries wrap it: as its cause, or as an argument."""
    waiting, seen = [error], set[int]()
    while waiting:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        behind = (each.__cause__, *each.args)
        waiting += [other for other in behind if isinstance(other, BaseException)]
