"""The way to an API: its URL, the proxy that is asked, whom TLS trusts, and what a failure means."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import certifi
import pytest

from etl.errors import AccessRefusedError, ContractBrokenError, SettingsError
from etl.network import proxies, trust
from etl.network.failures import ImpassableError, failed, tunnel_refused
from etl.network.proxies import proxy_for, without_proxy
from etl.network.reply import Reply
from etl.network.route import route_to
from etl.network.strangers import stranger
from etl.network.urls import checked, is_loopback
from etl.retry import TransientError

if TYPE_CHECKING:
    from pathlib import Path

    from etl.network.route import Route

PROXY_VARIABLES = [
    spelt for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy") for spelt in (name, name.upper())
]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def route(url: str = "https://api.example.test:8443") -> Route:
    return route_to(url, api="Zenovay", setting="ZENOVAY_BASE_URL")


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("https://API.Example.test/Base/", "https://api.example.test/Base"),
        ("https://api.example.test.", "https://api.example.test."),
        ("https://[2001:DB8::1]:8443/x", "https://[2001:db8::1]:8443/x"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.255.0.9", "http://127.255.0.9"),
        ("HTTP://LOCALHOST", "http://localhost"),
        ("http://localhost.:80/", "http://localhost.:80"),
        ("http://api.localhost", "http://api.localhost"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://[0:0:0:0:0:0:0:1]", "http://[0:0:0:0:0:0:0:1]"),
        ("http://[::ffff:127.0.0.1]", "http://[::ffff:127.0.0.1]"),
    ],
)
def test_urls_that_may_be_called(url: str, meant: str) -> None:
    assert checked(url) == meant


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.test",
        "http://localhost.example.test",
        "http://notlocalhost",
        "http://127.0.0.1.example.test",
        "http://128.0.0.1",
        "http://0.0.0.0",
        "http://127.1",
        "http://2130706433",
        "http://0x7f000001",
        "http://[::]",
        "http://[::2]",
        "http://10.0.0.1",
    ],
)
def test_the_key_never_travels_in_clear(url: str) -> None:
    with pytest.raises(ValueError, match="in clear"):
        checked(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1@evil.test",
        "https://me:secret@api.example.test",
        "https://@api.example.test",
        "https://127.0.0.1:80@evil.test/",
    ],
)
def test_no_user_stands_in_a_url(url: str) -> None:
    with pytest.raises(ValueError, match="without a user and a password") as caught:
        checked(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.example.test",
        "https://",
        "https:///path",
        "https://a b",
        "https://a:b",
        "https://a:0",
        "https://a:65536",
        "https://a..b",
        "https://[::1",
        "https://[zz]",
        "https://a?b",
        "https://a#b",
        "https://a\\b",
        "http://evil.test\\@127.0.0.1",
        "http://127.0.0.1#@evil.test",
        "https://a\n",
        "ftp://a",
        "https://exämple.test",
        "https://a.test/\x01",
        "https://a.test/\x7f",
        "https://a.test/ü",
        "//127.0.0.1",
    ],
)
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(ValueError, match="must be a URL"):
        checked(url)


def test_loopback_is_told_of_names_and_addresses() -> None:
    assert all(map(is_loopback, ("localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "[::1]")))
    assert not any(map(is_loopback, ("localhost.a", "localhosts", "", "::", "1.127.0.0", "[fe80::1]")))


@pytest.mark.parametrize(
    ("url", "environment", "expected"),
    [
        ("https://a.test", {"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ("https://a.test", {"https_proxy": "http://p:1", "HTTPS_PROXY": "http://q:1"}, "http://p:1"),
        ("https://a.test", {"https_proxy": "", "HTTPS_PROXY": "http://q:1"}, "http://q:1"),
        ("https://a.test", {"HTTP_PROXY": "http://p:1"}, None),
        ("https://a.test", {"HTTP_PROXY": "http://p:1", "ALL_PROXY": "http://q:1"}, "http://q:1"),
        ("https://a.test", {"all_proxy": "http://q:1", "HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ("http://127.0.0.1:8", {"http_proxy": "p:1"}, "http://p:1"),
        ("http://127.0.0.1:8", {"HTTPS_PROXY": "p:1"}, None),
        ("https://a.test", {"HTTPS_PROXY": "p"}, "http://p:80"),
        ("https://a.test", {"HTTPS_PROXY": " https://P.test/ "}, "https://p.test:443"),
        ("https://a.test", {"HTTPS_PROXY": "http://[::1]:3128"}, "http://[::1]:3128"),
        ("https://a.test", {"ALL_PROXY": "socks5://p"}, "socks5h://p:1080"),
        ("https://a.test", {}, None),
    ],
)
def test_which_proxy_is_asked(url: str, environment: dict[str, str], expected: str | None) -> None:
    found = proxy_for(url, environment)
    assert (found.url if found else None) == expected


@pytest.mark.parametrize(
    ("excused", "host", "is_excused"),
    [
        ("*", "a.test", True),
        ("a.test", "a.test", True),
        ("A.Test", "a.test", True),
        ("a.test", "b.a.test", True),
        ("a.test", "ba.test", False),
        (".a.test", "b.a.test", True),
        (".a.test", "a.test", True),
        ("*.a.test", "b.a.test", True),
        ("a.test.", "a.test", True),
        ("a.test", "a.test.", True),
        ("test", "a.test", True),
        ("a.test:8443", "a.test:8443", True),
        ("a.test:443", "a.test", True),
        ("a.test:8443", "a.test", False),
        ("b.test, a.test", "a.test", True),
        ("b.test a.test", "a.test", True),
        (" , ,, ", "a.test", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1:8443", "127.0.0.1:8443", True),
        ("127.0.0.0/8", "127.9.9.9", True),
        ("10.0.0.0/8", "127.0.0.1", False),
        ("10.1.2.3/8", "10.9.9.9", True),
        ("localhost", "127.0.0.1", False),
        ("localhost,[::1],fe80::/10", "a.test", False),
        ("localhost,[::1],fe80::/10", "[::1]", True),
        ("localhost,::1", "[::1]", True),
        ("[::1]:8443", "[::1]:8443", True),
        ("[::1]:8443", "[::1]", False),
        ("fe80::/10", "[fe80::1]", True),
        ("[fe80::/10]", "[fe80::1]", True),
        ("0:0:0:0:0:0:0:1", "[::1]", True),
        ("10.0.0.0/99,[::1,:::,://,@,a.test:99999999999", "a.test", False),
    ],
)
def test_who_is_excused_from_the_proxy(excused: str, host: str, is_excused: bool) -> None:  # noqa: FBT001 -- a column of a table
    for name in ("NO_PROXY", "no_proxy"):
        assert (proxy_for(f"https://{host}", {"HTTPS_PROXY": "p:1", name: excused}) is None) is is_excused


@pytest.mark.parametrize(
    "value",
    [
        "http://",
        "ftp://p",
        "p:0",
        "p:65536",
        "p:x",
        "http://p/path",
        "http://p?q",
        "http://[p]",
        "a b",
        "p:s3cret@",
    ],
)
def test_what_is_no_proxy(value: str) -> None:
    with pytest.raises(SettingsError, match="HTTPS_PROXY") as caught:
        proxy_for("https://a.test", {"HTTPS_PROXY": value})
    assert "s3cret" not in str(caught.value)


def test_socks_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxies, "find_spec", lambda _name: None)
    with pytest.raises(SettingsError, match=r"ALL_PROXY names a SOCKS proxy.*--inexact --extra socks"):
        proxy_for("https://a.test", {"ALL_PROXY": "socks5://me:s3cret@p"})


def test_the_login_of_a_proxy_is_never_shown() -> None:
    found = proxy_for("https://a.test", {"HTTPS_PROXY": "http://m%65:s3%40cret@p:1"})
    assert found is not None
    assert found.credentials == ("me", "s3@cret")
    assert found.headers == {"Proxy-Authorization": "Basic bWU6czNAY3JldA=="}
    assert "cret" not in f"{found} {found!r} {found.url}"


def test_a_host_that_is_to_be_excused_joins_those_that_are() -> None:
    assert without_proxy("127.0.0.1", {"no_proxy": "a.test"}) == {
        "NO_PROXY": "a.test,127.0.0.1",
        "no_proxy": "a.test,127.0.0.1",
    }
    assert without_proxy("127.0.0.1", {})["NO_PROXY"] == "127.0.0.1"


def test_a_system_without_certificates_trusts_those_of_certifi(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = ssl.DefaultVerifyPaths("", "", "", str(tmp_path / "no.pem"), "", str(tmp_path / "none"))
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: nowhere)
    monkeypatch.setattr(trust, "_BUNDLES", (str(tmp_path / "neither"),))
    trust._made.cache_clear()
    known = ssl.create_default_context(cafile=certifi.where())
    try:
        assert len(trust.trust().get_ca_certs()) >= len(known.get_ca_certs())
        assert "certifi" in trust.roots()
    finally:
        trust._made.cache_clear()


def test_both_sides_share_one_context_that_verifies() -> None:
    context = trust.trust()
    assert context is trust.trust()
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    "error",
    [
        ssl.SSLEOFError(8, "EOF occurred in violation of protocol"),
        ssl.SSLZeroReturnError(6, "closed"),
        ConnectionResetError(104, "Connection reset by peer"),
        BrokenPipeError(32, "Broken pipe"),
        TimeoutError("timed out"),
        OSError("0x04: Host unreachable", "Errno"),
        OSError(113, "No route to host"),
    ],
    ids=repr,
)
def test_what_breaks_off_may_pass_and_names_the_host(error: OSError) -> None:
    outer = RuntimeError("https://api.example.test/?email=ann@example.test")
    outer.__cause__ = error
    found = failed(outer, route())
    assert isinstance(found, TransientError)
    assert "api.example.test:8443" in found.what
    assert "@" not in found.what


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, AccessRefusedError),
        (403, AccessRefusedError),
        (407, AccessRefusedError),
        (404, ImpassableError),
        (405, ImpassableError),
        (501, ImpassableError),
        (429, TransientError),
        (500, TransientError),
        (502, TransientError),
        (503, TransientError),
        (504, TransientError),
    ],
)
def test_a_tunnel_that_is_refused(
    status: int, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:s3cret@p.test:3128")
    found = tunnel_refused(status, route())
    assert type(found) is kind
    assert "p.test:3128" in str(found)
    assert "s3cret" not in str(found)


@pytest.mark.parametrize(
    ("location", "where"),
    [
        (
            "https://login.example.test/x?token=s3cret&mail=ann@example.test",
            "a redirect to login.example.test.",
        ),
        ("//login.example.test", "a redirect to login.example.test."),
        ("https://s3cret@login.example.test/", "a redirect to login.example.test."),
        ("/elsewhere?s3cret", "another place on the same host"),
        ("https://api.example.test/s3cret", "another place on the same host"),
        ("https://[s3cret", "a redirect to no URL"),
        ("", "status 302."),
    ],
)
def test_a_redirect_says_where_to_and_no_more(location: str, where: str) -> None:
    found = stranger(Reply(302, {"location": location}, b""), route())
    assert isinstance(found, ContractBrokenError)
    assert where in found.what
    assert "ZENOVAY_BASE_URL" in (found.fix or "")
    assert "s3cret" not in str(found)
    assert "@" not in str(found)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 422, 429, 500, 503])
def test_what_may_be_the_api_s_own_is_no_stranger_s(status: int) -> None:
    assert stranger(Reply(status, {}, b'{"message":"no"}'), route()) is None
    assert stranger(Reply(status, {}, b""), route()) is None
