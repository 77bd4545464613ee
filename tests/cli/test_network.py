"""The commands behind proxies, inspected TLS and wrong addresses: both sides alike, with the real program."""

from __future__ import annotations

import ssl
import subprocess
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from shutil import which
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import trustme
from between import Hangup, Proxy, SocksProxy, TlsFront
from program import row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from program import Ended, Program

COMMANDS = {
    "run": ["run", "--now"],
    "dry run": ["run", "--now", "--dry-run", "--json"],
    "backfill": ["backfill", "--from", "2026-11-01"],
    "check": ["check"],
    "setup": ["setup"],
}
ZENOVAY_PATH = "/api/external/v1"
ALONE = {"NO_PROXY": "", "no_proxy": ""}
"""Loopback is behind the proxy, too."""
RETRY = '"action":"retry"'
YESTERDAY = datetime.now(UTC) - timedelta(days=1)


@dataclass(frozen=True)
class Authority:
    """One that signs, and the file that makes it trusted."""

    ca: trustme.CA
    file: Path

    def server(self, *names: str, until: datetime | None = None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(*names, not_after=until).configure_cert(context)
        return context


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    file = tmp_path_factory.mktemp("authority") / "ours.pem"
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(file))
    return Authority(ca, file)


def port_of(program: Program) -> int:
    return urlsplit(program.sandbox.url).port or 0


def at(host: str, *, zenovay: bool = True, hubspot: bool = True) -> dict[str, str]:
    """The settings that let one side or both be at ``https://host``."""
    sides = {"ZENOVAY_BASE_URL": zenovay and f"https://{host}{ZENOVAY_PATH}"}
    sides |= {"HUBSPOT_BASE_URL": hubspot and f"https://{host}"}
    return {name: url for name, url in sides.items() if url}


@contextmanager
def tls(program: Program, context: ssl.SSLContext) -> Iterator[TlsFront]:
    with TlsFront(context, to=port_of(program)) as front:
        yield front


def delivered(program: Program) -> int:
    return len(program.sandbox.hubspot.contacts)


def told(ended: Ended) -> str:
    return ended.stdout + ended.stderr


@pytest.mark.skipif(which("openssl") is None, reason="names a certificate as OpenSSL looks for it")
@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_both_sides_trust_whom_the_environment_says(
    program: Program, authority: Authority, tmp_path: Path, variable: str
) -> None:
    folder = tmp_path / "hashed"
    folder.mkdir()
    (folder / f"{_hash(authority.file)}.0").write_bytes(authority.file.read_bytes())
    trusted = {variable: str(authority.file if variable == "SSL_CERT_FILE" else folder)}
    program.visitors(row(1), row(2))
    with tls(program, authority.server("localhost")) as front:
        program.settings |= at(f"localhost:{front.port}") | trusted
        assert program("setup").exit_code == 0
        ended = program.run()
        checked = program("check")

    assert ended.exit_code == 0, ended.stderr
    assert delivered(program) == 2
    assert checked.exit_code == 0, checked.stdout
    assert variable in checked.stdout


def _hash(file: Path) -> str:
    """What `openssl rehash` names a certificate after."""
    command = ["openssl", "x509", "-noout", "-hash", "-in", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


BAD_CERTIFICATES = {
    "of an authority that is unknown": ("localhost", {}, "unable to get local issuer certificate"),
    "of another host": ("other.test", {}, "Hostname mismatch"),
    "expired": ("localhost", {"until": YESTERDAY}, "certificate has expired"),
}


@pytest.mark.parametrize("kind", BAD_CERTIFICATES)
@pytest.mark.parametrize("side", ["zenovay", "hubspot"])
def test_a_certificate_that_is_not_trusted_ends_a_run_at_once(
    program: Program, authority: Authority, side: str, kind: str
) -> None:
    name, options, why = BAD_CERTIFICATES[kind]
    trusted = {} if "authority" in kind else {"SSL_CERT_FILE": str(authority.file)}
    program.visitors(row(1))
    with tls(program, authority.server(name, **options)) as front:
        program.settings |= at(f"localhost:{front.port}", **{_other(side): False}) | trusted
        ended = program.run()

    assert ended.exit_code == 2, ended.stderr
    said = ended.summary["reason"]
    assert f"localhost:{front.port} is not trusted" in said
    assert why in said
    assert "SSL_CERT_FILE" in said
    assert said in ended.stderr
    assert RETRY not in ended.stderr
    assert delivered(program) == 0


def _other(side: str) -> str:
    return "hubspot" if side == "zenovay" else "zenovay"


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_every_command_tells_a_certificate_that_is_not_trusted(
    program: Program, authority: Authority, command: list[str]
) -> None:
    with tls(program, authority.server("localhost")) as front:
        ended = program(*command, **at(f"localhost:{front.port}"))

    assert ended.exit_code == 2, told(ended)
    assert "is not trusted" in told(ended)
    assert "SSL_CERT_FILE" in told(ended)


def test_a_self_signed_certificate_is_said_to_be_one(program: Program, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = trustme.CA()
    for name, blob in (("cert", certificate.cert_pem), ("key", certificate.private_key_pem)):
        blob.write_to_path(str(tmp_path / name))
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    with tls(program, context) as front:
        ended = program.run(**at(f"localhost:{front.port}"))

    assert ended.exit_code == 2
    assert "self-signed certificate" in ended.summary["reason"]


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_tls_on_a_plain_port_is_a_wrong_setting(program: Program, command: list[str]) -> None:
    ended = program(*command, **at(f"127.0.0.1:{port_of(program)}"))

    assert ended.exit_code == 2, told(ended)
    assert f"127.0.0.1:{port_of(program)}" in told(ended)
    assert "plain HTTP" in told(ended)
    assert "_BASE_URL" in told(ended)


def test_tls_on_a_plain_port_of_hubspot_alone_is_the_same(program: Program) -> None:
    program.visitors(row(1))
    ended = program.run(**at(f"127.0.0.1:{port_of(program)}", zenovay=False))

    assert ended.exit_code == 2
    assert "plain HTTP" in ended.summary["reason"]
    assert "HUBSPOT_BASE_URL" in ended.summary["reason"]


UNUSABLE = ["missing", "empty", "folder", "rubbish", "binary"]


@pytest.mark.parametrize("kind", UNUSABLE)
@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_certificates_that_cannot_be_used_are_a_wrong_setting(
    program: Program, tmp_path: Path, kind: str, variable: str
) -> None:
    place = tmp_path / kind
    if kind == "folder":
        place.mkdir()
    elif kind != "missing":
        place.write_bytes({"empty": b"", "rubbish": b"no certificate\n", "binary": bytes(range(256))}[kind])
    for command in COMMANDS.values():
        ended = program(*command, **{variable: str(place)})
        assert ended.exit_code == 2, told(ended)
        assert variable in told(ended)
        assert str(place) in told(ended)
    for offline in ("status", "rejections"):
        assert program(offline, **{variable: str(place)}).exit_code == 0


def test_both_sides_go_through_the_proxy_and_past_it_where_it_is_excused(program: Program) -> None:
    program.visitors(row(1))
    with Proxy() as proxy:
        named = {"HTTP_PROXY": f"http://127.0.0.1:{proxy.port}"}
        assert program.run(**named, **ALONE).exit_code == 0
        through = {urlsplit(each.target).path.split("/")[1] for each in proxy.asked}
        proxy.asked.clear()
        program.visitors(row(2))
        for excused in ("localhost,[::1],fe80::/10,127.0.0.0/8", "*", f"127.0.0.1:{port_of(program)}"):
            ended = program.run(**named, NO_PROXY=excused, no_proxy="")
            assert ended.exit_code == 0, ended.stderr
        past = list(proxy.asked)

    assert through == {"api", "crm", "account-info"}
    assert past == []
    assert delivered(program) == 2


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "ALL_PROXY"])
def test_https_goes_through_a_tunnel_with_the_proxy_s_own_login(
    program: Program, authority: Authority, variable: str
) -> None:
    program.visitors(row(1))
    with tls(program, authority.server("api.test")) as front, Proxy(login="me:p@ss") as proxy:
        program.settings |= at(f"api.test:{front.port}") | {"SSL_CERT_FILE": str(authority.file)}
        named = {variable: f"http://me:p%40ss@127.0.0.1:{proxy.port}"}
        ended = program.run(**named)
        checked = program("check", **named)

    assert ended.exit_code == 0, ended.stderr
    assert delivered(program) == 1
    assert {(each.method, each.target) for each in proxy.asked} == {("CONNECT", f"api.test:{front.port}")}
    assert len(proxy.asked) >= 2
    shown = [line for line in checked.stdout.splitlines() if " route" in line]
    assert len(shown) == 2
    assert all(f"the proxy http://127.0.0.1:{proxy.port} ({variable})" in line for line in shown)
    assert "p@ss" not in told(checked)
    assert "p%40ss" not in told(checked)


def test_a_proxy_that_itself_speaks_tls(program: Program, authority: Authority) -> None:
    program.visitors(row(1))
    with ExitStack() as stack:
        front = stack.enter_context(tls(program, authority.server("api.test")))
        proxy = stack.enter_context(Proxy(tls=authority.server("localhost")))
        program.settings |= at(f"api.test:{front.port}") | {"SSL_CERT_FILE": str(authority.file)}
        ended = program.run(HTTPS_PROXY=f"https://localhost:{proxy.port}")

    assert ended.exit_code == 0, ended.stderr
    assert delivered(program) == 1
    assert proxy.asked


def test_socks(program: Program, authority: Authority) -> None:
    program.visitors(row(1))
    with tls(program, authority.server("api.test")) as front, SocksProxy() as proxy:
        program.settings |= at(f"api.test:{front.port}") | {"SSL_CERT_FILE": str(authority.file)}
        ended = program.run(ALL_PROXY=f"socks5://127.0.0.1:{proxy.port}")

    assert ended.exit_code == 0, ended.stderr
    assert delivered(program) == 1
    assert {each.target for each in proxy.asked} == {f"api.test:{front.port}"}


@pytest.mark.parametrize("side", ["zenovay", "hubspot"])
@pytest.mark.parametrize(
    ("status", "exit_code", "sentence"), [(407, 5, "user and password (407)"), (403, 5, "allow api.test")]
)
def test_a_proxy_that_refuses_is_named_and_not_asked_again(
    program: Program, side: str, status: int, exit_code: int, sentence: str
) -> None:
    program.visitors(row(1))
    with Proxy(refuses=status) as proxy:
        ended = program.run(
            **at("api.test", **{_other(side): False}), HTTPS_PROXY=f"http://me:s3cret@127.0.0.1:{proxy.port}"
        )

    assert ended.exit_code == exit_code, ended.stderr
    said = ended.summary["reason"]
    assert f"proxy http://127.0.0.1:{proxy.port} (HTTPS_PROXY)" in said
    assert sentence in said
    assert "API key" not in said
    assert "s3cret" not in told(ended)
    assert "example.test" not in told(ended)
    assert len(proxy.asked) == 1


def test_a_proxy_that_refuses_plain_requests_is_named_too(program: Program) -> None:
    with Proxy(login="me:right") as proxy:
        named = {"HTTP_PROXY": f"http://me:wrong@127.0.0.1:{proxy.port}"}
        ended = program.run(**named, **ALONE)
        by_run = list(proxy.asked)
        other = program("setup", **named, **ALONE)

    for each in (ended, other):
        assert each.exit_code == 5, told(each)
        assert "does not accept its user and password (407)" in each.stderr
        assert "HTTP_PROXY" in each.stderr
        assert "wrong" not in told(each)
    assert len(set(by_run)) == len(by_run)
    assert len(proxy.asked) == len(by_run) + 1


@pytest.mark.parametrize(
    "value", ["ftp://127.0.0.1:1", "http://:80", "127.0.0.1:99999999", "http://[::1:80", "s3cret@@:"]
)
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_proxy_that_is_none_is_a_wrong_setting(program: Program, command: list[str], value: str) -> None:
    ended = program(*command, HTTP_PROXY=value, **ALONE)

    assert ended.exit_code == 2, told(ended)
    assert "HTTP_PROXY" in told(ended)
    assert value not in told(ended)


def test_a_handshake_that_breaks_off_is_an_outage(program: Program) -> None:
    with Hangup() as server:
        ended = program("check", "--json", **at(f"127.0.0.1:{server.port}"))
        connections = server.connections

    assert ended.exit_code == 4
    saw = {each["saw"] for each in ended.value if not each["ok"]}
    assert any(f"TLS connection to 127.0.0.1:{server.port} broke off" in each for each in saw)
    assert connections == 4  # each side was asked, and asked again


def test_check_takes_a_host_that_does_not_resolve_for_a_wrong_setting(program: Program) -> None:
    ended = program("check", "--json", **at("nowhere.invalid", zenovay=False))
    findings = {each["check"]: each for each in ended.value}

    assert ended.exit_code == 2
    assert findings["zenovay key"]["ok"]
    assert "nowhere.invalid (HUBSPOT_BASE_URL) could not be resolved" in findings["hubspot portal"]["saw"]
    assert "HUBSPOT_BASE_URL" in findings["hubspot portal"]["fix"]
    assert findings["hubspot read scope"]["saw"] == "not checked, as the check of hubspot portal failed"


@pytest.mark.parametrize(
    "url",
    ["http://api.test", "http://127.0.0.1@evil.test", "HTTP://EVIL.test:80", "https://me:s3cret@api.test"],
)
@pytest.mark.parametrize("setting", ["ZENOVAY_BASE_URL", "HUBSPOT_BASE_URL"])
def test_no_key_travels_in_clear(program: Program, setting: str, url: str) -> None:
    ended = program.run(**{setting: url})

    assert ended.exit_code == 2
    assert setting in ended.stderr
    assert ("in clear" in ended.stderr) or ("without a user and a password" in ended.stderr)
    assert "s3cret" not in ended.stderr
