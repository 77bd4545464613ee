"""The file of metrics: what it says, who may read it, and that nobody ever sees half of it."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from dataclasses import fields, replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from etl.errors import SettingsError, SyncError
from etl.watch.metrics import NAMES, Metrics, PortalMetrics, WebsiteMetrics, text_of, write

if TYPE_CHECKING:
    from pathlib import Path

PORTAL = PortalMetrics(
    websites=(
        WebsiteMetrics(
            "w1",
            last_run_timestamp_seconds=1_770_465_600.5,
            last_success_timestamp_seconds=1_770_465_600,
            watermark_timestamp_seconds=1_770_465_000,
            last_run_exit_code=0,
            last_run_duration_seconds=1.25,
            last_run_rows={"read": 7, "accepted": 5},
            last_run_contacts={"created": 2},
            last_run_requests={"zenovay": 3, "hubspot": 4},
        ),
        WebsiteMetrics("w2", last_run_exit_code=4),
    ),
    contacts={"confirmed": 10, "due": 1, "rejected": 0, "absent": 2, "gone": 3},
    requests_month_used=900,
    requests_month_limit=10_000,
    month_reset_timestamp_seconds=1_772_323_200,
)
FULL = Metrics(
    version="0.1.0",
    portals=(PORTAL,),
    last_command_exit_code=4,
    last_command_timestamp_seconds=1_770_465_601,
)


def of(*websites: WebsiteMetrics) -> Metrics:
    return Metrics("1", portals=(PortalMetrics(websites=websites),))


def samples(text: bytes) -> dict[tuple[str, ...], float]:
    """The value of each sample by its name, less the prefix, and the values of its labels, website first."""
    return {
        (
            each.name.removeprefix("visitor_sync_"),
            *(text for _, text in sorted(each.labels.items())[::-1]),
        ): each.value
        for family in text_string_to_metric_families(text.decode())
        for each in family.samples
    }


def test_the_file_says_everything_that_is_known(tmp_path: Path) -> None:
    path = tmp_path / "visitor_sync.prom"
    write(path, FULL)
    assert samples(path.read_bytes()) == {
        ("last_run_timestamp_seconds", "w1"): 1_770_465_600.5,
        ("last_success_timestamp_seconds", "w1"): 1_770_465_600,
        ("watermark_timestamp_seconds", "w1"): 1_770_465_000,
        ("last_run_exit_code", "w1"): 0,
        ("last_run_exit_code", "w2"): 4,
        ("last_run_duration_seconds", "w1"): 1.25,
        ("last_run_rows", "w1", "read"): 7,
        ("last_run_rows", "w1", "accepted"): 5,
        ("last_run_contacts", "w1", "created"): 2,
        ("last_run_requests", "w1", "zenovay"): 3,
        ("last_run_requests", "w1", "hubspot"): 4,
        ("contacts", "confirmed"): 10,
        ("contacts", "due"): 1,
        ("contacts", "rejected"): 0,
        ("contacts", "absent"): 2,
        ("contacts", "gone"): 3,
        ("requests_month_used",): 900,
        ("requests_month_limit",): 10_000,
        ("month_reset_timestamp_seconds",): 1_772_323_200,
        ("last_command_exit_code",): 4,
        ("last_command_timestamp_seconds",): 1_770_465_601,
        ("info", "0.1.0"): 1,
    }


def test_of_several_portals_all_that_is_one_portals_is_labelled_with_its_name() -> None:
    portals = (
        replace(PORTAL, name="acme"),
        PortalMetrics("bolt", contacts={"due": 4}),
        PortalMetrics("core"),
    )
    families = text_string_to_metric_families(text_of(replace(FULL, portals=portals)).decode())
    labels = {each.name: each.labels for family in families for each in family.samples}
    assert labels["visitor_sync_contacts"] == {"portal": "bolt", "state": "due"}
    assert labels["visitor_sync_last_run_rows"] == {"portal": "acme", "website": "w1", "outcome": "accepted"}
    assert labels["visitor_sync_requests_month_used"] == {"portal": "acme"}
    assert labels["visitor_sync_last_command_exit_code"] == {}
    assert labels["visitor_sync_info"] == {"version": "0.1.0"}


def test_the_file_is_made_of_the_names_in_their_order() -> None:
    families = list(text_string_to_metric_families(text_of(FULL).decode()))
    assert [(each.name, each.documentation) for each in families] == list(NAMES)
    assert {each.type for each in families} == {"gauge"}


def test_every_name_has_its_field_and_every_field_its_name() -> None:
    known = {each.name for kind in (Metrics, PortalMetrics, WebsiteMetrics) for each in fields(kind)}
    labels = {"version", "portals", "name", "websites", "website"}
    assert {name for name, _ in NAMES} == {f"visitor_sync_{key}" for key in (known | {"info"}) - labels}


def test_labels_have_the_names_that_are_promised() -> None:
    text = text_of(FULL).decode()
    assert 'visitor_sync_last_run_rows{outcome="read",website="w1"} 7.0' in text
    assert 'visitor_sync_last_run_requests{api="zenovay",website="w1"} 3.0' in text
    assert 'visitor_sync_contacts{state="due"} 1.0' in text
    assert 'visitor_sync_info{version="0.1.0"} 1.0' in text


def test_what_is_not_known_is_left_out() -> None:
    assert samples(text_of(of(WebsiteMetrics("w1")))) == {("info", "1"): 1}


@pytest.mark.parametrize(
    "website", ['a"b', "a\\b", "a\\", "a\nb", "a\\nb", 'a\\"', "ä€😀", "a\rb", '{a="b"} 1 # x', "", "a,b"]
)
def test_a_strange_website_comes_back_as_it_was(website: str) -> None:
    text = text_of(of(WebsiteMetrics(website, last_run_exit_code=3)))
    assert samples(text)["last_run_exit_code", website] == 3


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_any_website_comes_back_as_it_was(website: str) -> None:
    site = WebsiteMetrics(website, last_run_rows={"read": 1})
    assert samples(text_of(of(site)))["last_run_rows", website, "read"] == 1


def test_half_of_a_surrogate_pair_does_not_end_the_run() -> None:
    text = text_of(of(WebsiteMetrics("a\ud800", last_run_exit_code=3)))
    assert samples(text)["last_run_exit_code", "a?"] == 3


@pytest.mark.parametrize("umask", [0o077, 0o000, 0o022])
def test_everybody_may_read_it_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "visitor_sync.prom"
    before = os.umask(umask)
    try:
        write(path, FULL)
        write(path, FULL)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "visitor_sync.prom"
    many = of(*(WebsiteMetrics(f"w{n}", last_run_exit_code=n) for n in range(50)))
    whole = {text_of(FULL), text_of(many)}
    write(path, FULL)
    seen: list[bytes] = []
    listed: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.append(path.read_bytes())
            listed.extend(each.name for each in tmp_path.glob("*.prom"))

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(200):
        write(path, many if turn % 2 else FULL)
    done.set()
    reader.join()
    assert set(seen) <= whole
    assert len(seen) > 1
    assert set(listed) == {path.name}
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


KILLED = """
import os, signal, sys
from pathlib import Path
from etl.watch.metrics import Metrics, write
setattr(os, sys.argv[2], lambda *_: os.kill(os.getpid(), signal.SIGKILL))
write(Path(sys.argv[1]), Metrics("new"))
"""


@pytest.mark.parametrize("step", ["fchmod", "replace"])
def test_a_kill_amid_leaves_the_old_file(tmp_path: Path, step: str) -> None:
    path = tmp_path / "visitor_sync.prom"
    write(path, FULL)
    ended = subprocess.run([sys.executable, "-c", KILLED, path, step], check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    assert path.read_bytes() == text_of(FULL)
    assert [each.name for each in tmp_path.glob("*.prom")] == [path.name]
    write(path, Metrics("later"))
    assert path.read_bytes() == text_of(Metrics("later"))


def test_what_cannot_be_written_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"visitor_sync\.prom: No such file or directory\. Check that"):
        write(tmp_path / "missing" / "visitor_sync.prom", FULL)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_in_its_place_leaves_no_draft(tmp_path: Path) -> None:
    place = tmp_path / "visitor_sync.prom"
    place.mkdir()
    with pytest.raises(SyncError, match="Is a directory"):
        write(place, FULL)
    assert list(tmp_path.iterdir()) == [place]


def test_a_full_disk_leaves_the_old_file_and_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "visitor_sync.prom"
    write(path, FULL)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fchmod", full)
    with pytest.raises(SyncError, match="No space left on device"):
        write(path, Metrics("new"))
    assert path.read_bytes() == text_of(FULL)
    assert list(tmp_path.iterdir()) == [path]
