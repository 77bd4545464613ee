"""Settings: everything that is wrong is named at once, and no value is ever shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from etl.errors import SettingsError
from etl.settings import known_variables, load, load_hubspot, load_sync, load_watch

PREFIXES = ("ZENOVAY_", "HUBSPOT_", "SYNC_", "SLACK_")
REQUIRED = {
    "ZENOVAY_API_KEY": "zv_secret",
    "ZENOVAY_WEBSITE_ID": "w-1",
    "HUBSPOT_ACCESS_TOKEN": "pat-secret",
}
COMMANDS = {
    "run": ["run"],
    "dry run": ["run", "--dry-run", "--json"],
    "backfill": ["backfill", "--from", "2026-01-01"],
    "setup": ["setup"],
    "check": ["check"],
}


@pytest.fixture(autouse=True)
def empty_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting in the environment and no .env in the working directory."""
    for variable in [name for name in os.environ if name.upper().startswith(PREFIXES)]:
        monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def required(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in REQUIRED.items():
        monkeypatch.setenv(variable, value)


def command(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command in the working directory with exactly these variables."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(Path.cwd())}
    return subprocess.run(
        [sys.executable, "-m", "etl", *arguments],
        env=environment | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def complaint() -> str:
    with pytest.raises(SettingsError) as caught:
        load()
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
def test_everything_wrong_is_named_at_once_without_values(arguments: list[str]) -> None:
    wrong = {
        "ZENOVAY_API_KEY": "ZV_tracking-code",
        "HUBSPOT_ACCESS_TOKEN": "two words",
        "HUBSPOT_BASE_URL": "ftp://files.example.test",
        "HUBSPOT_CONCURRENCY": "many-of-them",
        "SYNC_LOOKBACK": "fortnight",
        "SYNC_ANONYMOUS": "perhaps",
        "SYNC_COUNTRY_PROPERTY": "hs_country",
        "SYNC_LOOKBACKS": "unheard-of",
    }

    ended = command(*arguments, **wrong)

    assert ended.returncode == 2
    said = ended.stdout + ended.stderr
    missing = set() if arguments == ["setup"] else {"ZENOVAY_WEBSITE_ID"}
    unread = {"ZENOVAY_API_KEY"} if arguments == ["setup"] else set()
    assert [name for name in {*wrong, *missing} - unread if name not in said] == []
    assert [value for value in wrong.values() if value in said] == []
    assert "Traceback" not in said


def test_a_command_without_any_setting_names_the_three_that_are_required() -> None:
    ended = command("run")

    assert (ended.returncode, ended.stdout) == (2, "")
    assert [name for name in known_variables() if name in ended.stderr] == list(REQUIRED)
    assert ".env.example" in ended.stderr


@pytest.mark.parametrize("arguments", [["status"], ["rejections"]], ids=lambda words: str(words[0]))
def test_a_look_at_the_state_needs_no_credentials(arguments: list[str], tmp_path: Path) -> None:
    ended = command(*arguments, SYNC_STATE_URL=f"sqlite:///{tmp_path / 'state.db'}")

    assert (ended.returncode, ended.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("required")
def test_the_required_settings_are_enough() -> None:
    settings = load()

    assert settings.secrets() == ("zv_secret", "pat-secret")
    assert settings.zenovay.website_id == ("w-1",)


@pytest.mark.usefixtures("required")
def test_no_secret_shows_in_the_settings_themselves() -> None:
    assert [secret for secret in ("zv_secret", "pat-secret") if secret in repr(load())] == []


@pytest.mark.usefixtures("required")
def test_the_tracking_code_pasted_as_the_key_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZENOVAY_API_KEY", "ZV_abc123")

    said = complaint()

    assert "ZENOVAY_API_KEY is the public tracking code; the secret key begins with lower-case zv_" in said
    assert "abc123" not in said


@pytest.mark.parametrize(
    ("variable", "empty"),
    [
        *((variable, "") for variable in REQUIRED),
        ("ZENOVAY_WEBSITE_ID", "   "),
        ("ZENOVAY_API_KEY", "   "),
        ("HUBSPOT_ACCESS_TOKEN", "   "),
    ],
)
@pytest.mark.usefixtures("required")
def test_an_empty_value_counts_as_missing(variable: str, empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, empty)

    assert f"{variable} is missing" in complaint()


@pytest.mark.usefixtures("required")
def test_an_empty_optional_value_means_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = load()
    for variable in set(known_variables()) - set(REQUIRED):
        monkeypatch.setenv(variable, "")

    assert load() == defaults


UNKNOWN = pytest.mark.parametrize(
    ("unknown", "nearest"),
    [
        ("ZENOVAY_APIKEY", "ZENOVAY_API_KEY"),
        ("HUBSPOT_TOKEN", "HUBSPOT_ACCESS_TOKEN"),
        ("SYNC_LOOKBAK", "SYNC_LOOKBACK"),
        ("sync_lookbak", "SYNC_LOOKBACK"),
        ("SYNC_PING_URL_FIL", "SYNC_PING_URL_FILE"),
        ("SYNC_LOOKBACK_FILE", "SYNC_LOOKBACK"),
    ],
)


@UNKNOWN
@pytest.mark.usefixtures("required")
def test_an_unknown_variable_with_our_prefix_in_the_file_names_the_nearest_known_one(
    unknown: str, nearest: str, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text(f"{unknown}=secret-value\n")

    said = complaint()

    told = f"{unknown.upper()} is not a setting of this program; the nearest one is {nearest}"
    assert f"{told} ({tmp_path / '.env'})." in said
    assert "secret-value" not in said


@UNKNOWN
@pytest.mark.usefixtures("required")
def test_an_unknown_variable_with_our_prefix_in_the_environment_is_a_warning(
    unknown: str, nearest: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(unknown, "secret-value")

    load()

    (line,) = caplog.records
    facts = vars(line)
    assert (line.levelname, facts["action"]) == ("WARNING", "unknown_setting")
    assert (facts["variable"], facts["nearest"]) == (unknown.upper(), nearest)
    assert "secret-value" not in str(facts)


@pytest.mark.usefixtures("required")
def test_where_something_is_wrong_an_unknown_variable_is_told_with_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("ZENOVAY_API_KEY")
    monkeypatch.setenv("ZENOVAY_APIKEY", "zv_x")

    said = complaint()

    assert "ZENOVAY_API_KEY is missing" in said
    assert (
        "ZENOVAY_APIKEY is not a setting of this program; the nearest one is ZENOVAY_API_KEY (envir" in said
    )
    assert caplog.records == []


@pytest.mark.usefixtures("required")
def test_the_variables_of_other_programs_are_none_of_our_business(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZENOVAYISH", "x")
    monkeypatch.setenv("MY_SYNC_LOOKBACK", "x")

    load()


def test_an_env_file_in_the_working_directory_is_read(tmp_path: Path) -> None:
    lines = [f"{variable}={value}" for variable, value in REQUIRED.items()]
    (tmp_path / ".env").write_text(
        "\n".join([*lines, "SYNC_LOOKBACK=2h", "# SYNC_ANONYMOUS=skip", "OTHER=1"])
    )

    settings = load()

    assert settings.secrets() == ("zv_secret", "pat-secret")
    assert settings.sync.lookback == timedelta(hours=2)
    assert settings.sync.anonymous == "upsert"


@pytest.mark.usefixtures("required")
def test_the_environment_wins_over_the_env_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ZENOVAY_WEBSITE_ID=of-the-file\nSYNC_ANONYMOUS=skip\n")

    settings = load()

    assert settings.zenovay.website_id == ("w-1",)
    assert settings.sync.anonymous == "skip"


@pytest.mark.usefixtures("required")
def test_an_unknown_variable_in_the_env_file_is_named_too(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SYNC_LOOKBAK=2h\n")

    assert "SYNC_LOOKBAK is not a setting of this program" in complaint()


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("90s", timedelta(seconds=90)),
        ("4m50s", timedelta(minutes=4, seconds=50)),
        ("1.5h", timedelta(minutes=90)),
        ("30d", timedelta(days=30)),
        (" 2h ", timedelta(hours=2)),
        ("0s", timedelta(0)),
    ],
)
@pytest.mark.usefixtures("required")
def test_durations(text: str, meant: timedelta, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNC_LOOKBACK", text)

    assert load().sync.lookback == meant


@pytest.mark.parametrize(
    "text",
    ["300", "-1h", "1 hour", "1h?", "PT5M", "\N{ARABIC-INDIC DIGIT FIVE}m", "∞", "9e99d", "99999999999d"],
)
@pytest.mark.usefixtures("required")
def test_what_is_no_duration_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNC_LOOKBACK", text)

    said = complaint()

    assert "SYNC_LOOKBACK must" in said
    assert text not in said


@pytest.mark.parametrize(
    ("text", "told"), [("0s", "greater than 0 days"), ("366d", "less than or equal to 365 days")]
)
@pytest.mark.usefixtures("required")
def test_the_first_window_lies_within_what_the_source_can_give(
    text: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNC_INITIAL_RANGE", text)

    assert f"SYNC_INITIAL_RANGE must be {told} (environment)." in complaint()


@pytest.mark.parametrize(
    ("text", "websites"),
    [("a", ("a",)), ("a,b", ("a", "b")), (" a , b ,", ("a", "b")), ("b,a", ("b", "a"))],
)
@pytest.mark.usefixtures("required")
def test_several_websites_are_separated_by_commas(
    text: str, websites: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZENOVAY_WEBSITE_ID", text)

    assert load().zenovay.website_id == websites


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (",", "is missing"),
        ("a,b,a", "names a website twice"),
        ("a b", "must be website ids"),
        ("a/../b", "must be website ids"),
        ("https://example.test", "must be website ids"),
        ("a?x=1", "must be website ids"),
    ],
)
@pytest.mark.usefixtures("required")
def test_what_is_no_website_id_is_refused(text: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZENOVAY_WEBSITE_ID", text)

    assert f"ZENOVAY_WEBSITE_ID {why}" in complaint()


@pytest.mark.parametrize("name", ["country", "my_country", "c1", "a" * 100])
@pytest.mark.usefixtures("required")
def test_property_names(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNC_COUNTRY_PROPERTY", name)

    assert load().sync.synced.by_name["country"].property_name == name


@pytest.mark.parametrize(
    "name",
    [
        "Country",
        "1st",
        "a-b",
        "a b",
        "a" * 101,
        "hs_country",
        "ip_country",
        "hubspot_owner_id",
        "email",
        "país",
    ],
)
@pytest.mark.usefixtures("required")
def test_names_that_no_property_of_ours_may_have(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNC_COUNTRY_PROPERTY", name)

    assert "SYNC_COUNTRY_PROPERTY" in complaint()


@pytest.mark.usefixtures("required")
def test_two_facts_may_not_share_a_property(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNC_LAST_SEEN_PROPERTY", "zenovay_pageviews")

    assert "must name different properties" in complaint()


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("https://eu.example.test/api/", "https://eu.example.test/api"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        (" https://eu.example.test ", "https://eu.example.test"),
    ],
)
@pytest.mark.usefixtures("required")
def test_base_urls(text: str, meant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBSPOT_BASE_URL", text)

    assert load().hubspot.base_url == meant


@pytest.mark.parametrize(
    "text",
    [
        "api.example.test",
        "https://",
        "ftp://x.test",
        "https://x.test/?a=1",
        "https://x.test/#a",
        "https://x y",
    ],
)
@pytest.mark.usefixtures("required")
def test_what_is_no_base_url_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBSPOT_BASE_URL", text)

    assert "HUBSPOT_BASE_URL must be a URL" in complaint()


@pytest.mark.parametrize(
    "marks", ["''", '""', "``", "“”", "„“", "«»", "\u2018\u2019", "\u00b4\u00b4", "' ", " ”"]
)
@pytest.mark.parametrize("variable", [*REQUIRED, "HUBSPOT_BASE_URL"])
@pytest.mark.usefixtures("required")
def test_a_value_in_quotes_is_said_to_be_in_quotes(
    variable: str, marks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = REQUIRED.get(variable, "https://api.example.test")
    monkeypatch.setenv(variable, f"{marks[0]}{value}{marks[1]}")

    assert f"{variable} is in quotes" in complaint()
    assert value not in complaint()


@pytest.mark.usefixtures("required")
def test_one_of_several_websites_in_quotes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZENOVAY_WEBSITE_ID", "w-1,'w-2'")

    assert "ZENOVAY_WEBSITE_ID is in quotes" in complaint()


@pytest.mark.parametrize("version", ["2026-03", "2026-09", "v3"])
@pytest.mark.usefixtures("required")
def test_versions_of_the_hubspot_api(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBSPOT_API_VERSION", version)

    assert load().hubspot.api_version == version


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ZENOVAY_PAGE_SIZE", "0"),
        ("ZENOVAY_PAGE_SIZE", "1001"),
        ("ZENOVAY_PAGE_SIZE", "1e3"),
        ("ZENOVAY_PAGING", "cursor"),
        ("ZENOVAY_REQUESTS_PER_MINUTE", "0"),
        ("ZENOVAY_REQUESTS_PER_MONTH", "-5"),
        ("ZENOVAY_REQUESTS_PER_MONTH", str(2**63)),
        ("HUBSPOT_CONCURRENCY", "33"),
        ("HUBSPOT_API_VERSION", "../v3"),
        ("SYNC_ANONYMOUS", "Skip"),
        ("SYNC_LOG_FORMAT", "xml"),
    ],
)
@pytest.mark.usefixtures("required")
def test_values_out_of_bounds_are_refused(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)

    said = complaint()

    assert said.startswith(f"A setting is wrong:\n  {variable} ")
    assert f" {value}" not in said


@pytest.mark.parametrize("variable", ["ZENOVAY_API_KEY", "HUBSPOT_ACCESS_TOKEN"])
@pytest.mark.parametrize(
    "hostile",
    ["zv_a\nX-Evil: 1", "zv_a\r\nb", "zv_a b", "zv_ключ", "zv_a\x1b[31m", "zv_\x7f"],
    ids=["newline", "crlf", "space", "letters", "escape", "delete"],
)
@pytest.mark.usefixtures("required")
def test_a_credential_that_could_not_be_a_header_is_refused(
    variable: str, hostile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, hostile)

    said = complaint()

    assert f"{variable} must be one word of printable ASCII characters (environment)." in said
    assert hostile not in said


@pytest.mark.usefixtures("required")
def test_a_line_end_pasted_along_with_a_credential_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "pat-secret\n")

    assert load().hubspot.access_token.get_secret_value() == "pat-secret"


@pytest.mark.parametrize(
    "url", ["state.db", "mysql://user:hunter2@host/db", "postgresql+psycopg://user:hunter2@[::1/db"]
)
def test_a_state_url_that_cannot_be_used_is_refused_without_its_password(url: str) -> None:
    ended = command("status", SYNC_STATE_URL=url)

    assert ended.returncode == 2
    assert "SYNC_STATE_URL" in ended.stderr
    assert "hunter2" not in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_command_asks_only_for_the_sections_that_it_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    load_sync()
    with pytest.raises(SettingsError, match="HUBSPOT_ACCESS_TOKEN") as caught:
        load_hubspot()
    assert "ZENOVAY" not in str(caught.value)

    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "pat-secret")

    assert load_hubspot()[0].access_token.get_secret_value() == "pat-secret"


def test_a_malformed_state_url_is_listed_with_the_other_wrong_settings() -> None:
    ended = command("run", SYNC_STATE_URL="my-state.db", HUBSPOT_CONCURRENCY="many")

    assert ended.returncode == 2
    assert "SYNC_STATE_URL must be" in ended.stderr
    assert "HUBSPOT_CONCURRENCY must be" in ended.stderr
    assert "my-state" not in ended.stderr


@pytest.mark.parametrize(
    ("variable", "value", "other"),
    [
        ("ZENOVAY_API_KEY", "pat-eu1-0000", "HUBSPOT_ACCESS_TOKEN"),
        ("HUBSPOT_ACCESS_TOKEN", "zv_0000", "ZENOVAY_API_KEY"),
        ("HUBSPOT_ACCESS_TOKEN", "ZV_0000", "ZENOVAY_API_KEY"),
    ],
)
@pytest.mark.usefixtures("required")
def test_key_and_token_in_each_other_s_place_are_seen(
    variable: str, value: str, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)

    said = complaint()

    assert f"it and {other} seem swapped (environment)." in said
    assert "0000" not in said


@pytest.mark.usefixtures("required")
def test_what_is_wrong_is_told_with_the_place_where_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = tmp_path / ".env"
    env.write_text(
        "SYNC_LOOKBACK=fortnight\nSYNC_RECHECK=x\nSYNC_CONFIG=other.toml\nSYNC_PLAN_PROPERTY=Plan\n"
        "ZENOVAY_WEBSITE_ID=w,w\n"
    )
    (tmp_path / "other.toml").write_text('[fields.plan]\nfrom = ["plan"]\n')
    monkeypatch.setenv("SYNC_RECHECK", "y")
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "  ")

    said = complaint()

    assert f"SYNC_LOOKBACK must be a duration such as 4m50s, 1h or 30d ({env})." in said
    assert "SYNC_RECHECK must be a duration such as 4m50s, 1h or 30d (environment)." in said
    assert "SYNC_PLAN_PROPERTY must be a HubSpot property name: lower-case letters, digits and" in said
    assert "HUBSPOT_ACCESS_TOKEN is missing" in said
    assert said.count("(environment).") == 2
    assert said.count(f"({env}).") == 2


@pytest.mark.usefixtures("required")
def test_of_two_settings_that_do_not_fit_both_places_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "visitor-sync.toml").write_text('[fields.plan]\nfrom = ["plan"]\nproperty = "tariff"\n')
    monkeypatch.setenv("SYNC_LAST_SEEN_PROPERTY", "tariff")

    said = complaint()

    places = f"(SYNC_LAST_SEEN_PROPERTY: environment; SYNC_PLAN_PROPERTY: {tmp_path / 'visitor-sync.toml'})."
    assert places in said


WEBHOOK = "https://hooks.slack.example/services/T0/B0/s3cret"
PING = "https://hc.example/ping/s3cret"


def environment(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)


@pytest.mark.parametrize("variable", ["SLACK_WEBHOOK_URL", "SYNC_PING_URL"])
@pytest.mark.parametrize(
    "wrong",
    [
        "s3cret",
        "/services/s3cret",
        "hooks.slack.example/s3cret",
        "http://hooks.slack.example/s3cret",
        "ftp://hooks.slack.example/s3cret",
        "https:///s3cret",
        "https://me:s3cret@hooks.slack.example/",
        "https://hooks.slack.example:99999/s3cret",
        "https://hooks.slack.example/s3cret#here",
        "https://hooks.slack.example/s3cret two",
        "https://hooks.slack.example/s3cret\nX-Evil: 1",
        "https://hooks.slack.example/s3crét",
        "'https://hooks.slack.example/s3cret'",
        "“https://hooks.slack.example/s3cret”",
        "https://hooks.slack.example/s3cret\udcff",
    ],
)
@pytest.mark.usefixtures("required")
def test_a_secret_url_in_a_wrong_form_is_told_without_it(
    variable: str, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, wrong)

    said = complaint()

    assert said.startswith(f"A setting is wrong:\n  {variable} ")
    assert "s3cr" not in said
    assert (load_watch().webhook, load_watch().ping_url) == (None, None)


@pytest.mark.usefixtures("required")
def test_only_a_ping_url_may_have_a_query(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNC_PING_URL", f"{PING}?create=1")
    assert load().watch.ping_url

    monkeypatch.setenv("SLACK_WEBHOOK_URL", f"{WEBHOOK}?a=1")
    assert "SLACK_WEBHOOK_URL must be a URL" in complaint()


@pytest.mark.parametrize(
    "wrong", ["slak", "s3cret", "slack;ntfy://s3cret", "slack, s3cret@x.test", "://s3cret"]
)
@pytest.mark.usefixtures("required")
def test_who_is_told_in_a_wrong_form_is_told_without_it(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment(monkeypatch, SYNC_NOTIFY=wrong, SLACK_WEBHOOK_URL=WEBHOOK)

    said = complaint()

    assert said.startswith("A setting is wrong:\n  SYNC_NOTIFY must be a list of `slack` and URLs of Apprise")
    assert "s3cret" not in said
    assert "slak" not in said


@pytest.mark.usefixtures("required")
def test_slack_needs_its_webhook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNC_NOTIFY", "slack")

    assert "SYNC_NOTIFY names slack, and SLACK_WEBHOOK_URL is missing" in complaint()


@pytest.mark.usefixtures("required")
def test_another_service_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    environment(monkeypatch, SYNC_NOTIFY="ntfy://s3cret/topic", SLACK_WEBHOOK_URL=WEBHOOK)
    monkeypatch.setattr("etl.settings.sections.find_spec", lambda _: None)

    said = complaint()

    assert "the package for that is not installed" in said
    assert "--extra notify" in said
    assert "s3cret" not in said

    monkeypatch.setenv("SYNC_NOTIFY", "slack")
    assert load().watch.notified == ("slack",)


@pytest.mark.usefixtures("required")
def test_a_metrics_file_of_an_unknown_home_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNC_METRICS_FILE", "~nobody-of-that-name/visitor_sync.prom")

    assert "SYNC_METRICS_FILE begins with ~" in complaint()


@pytest.mark.usefixtures("required")
def test_slack_s_variables_of_other_programs_are_no_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment(monkeypatch, SLACK_BOT_TOKEN="xoxb-1", SLACK_WEBHOOK="x", SLACK_URL="y")
    (tmp_path / ".env").write_text("SLACK_CHANNEL=general\n")

    assert load().watch.webhook is None


@pytest.mark.usefixtures("required")
def test_the_urls_of_those_who_are_told_are_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    named = "slack, ntfy://s3cret/topic"
    environment(monkeypatch, SYNC_NOTIFY=named, SLACK_WEBHOOK_URL=WEBHOOK, SYNC_PING_URL=PING)
    monkeypatch.setattr("etl.settings.sections.find_spec", lambda _: object())

    settings = load()

    assert {WEBHOOK, PING, "ntfy://s3cret/topic"} <= set(settings.secrets())
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize(
    ("wrong", "left"),
    [
        ({}, {"ping", "slack", "metrics"}),
        ({"ZENOVAY_PAGE_SIZE": "none", "SYNC_LOOKBAK": "1h"}, {"ping", "slack", "metrics"}),
        ({"SYNC_NOTIFY": "slak"}, {"ping", "metrics"}),
        ({"SYNC_NOTIFY": "slack ntfy://topic"}, {"ping", "metrics"}),
        ({"SLACK_WEBHOOK_URL": "nonsense"}, {"ping", "metrics"}),
        ({"SLACK_WEBHOOK_URL": ""}, {"ping", "metrics"}),
        ({"SYNC_PING_URL": "nonsense"}, {"slack", "metrics"}),
        ({"SYNC_METRICS_FILE": "~nobody-of-that-name/x"}, {"ping", "slack"}),
        ({"SYNC_PING_URL": "a", "SYNC_NOTIFY": "b", "SLACK_WEBHOOK_URL": "c"}, {"metrics"}),
    ],
    ids=lambda given: " ".join(sorted(given)),
)
@pytest.mark.parametrize("place", ["environment", ".env"])
def test_a_wrong_setting_silences_none_but_its_own(
    wrong: dict[str, str], left: set[str], place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = {
        "SYNC_NOTIFY": "slack",
        "SLACK_WEBHOOK_URL": WEBHOOK,
        "SYNC_PING_URL": PING,
        "SYNC_METRICS_FILE": "m",
    }
    monkeypatch.setattr("etl.settings.sections.find_spec", lambda _: None)
    if place == "environment":
        environment(monkeypatch, **(good | wrong))
    else:
        (tmp_path / ".env").write_text("".join(f"{name}={text}\n" for name, text in (good | wrong).items()))

    watch = load_watch()

    told = {"ping": watch.ping_url, "slack": watch.notified and watch.webhook, "metrics": watch.metrics_file}
    assert {name for name, value in told.items() if value} == left


@pytest.mark.parametrize("rubbish", [b"\xff\xfeS\0Y\0N\0C\0", b"SYNC_PING_URL\n=\n", b"A=\xe9\n"])
def test_an_env_file_that_cannot_be_read_leaves_the_environment(
    rubbish: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_bytes(rubbish)
    environment(monkeypatch, SYNC_PING_URL=PING)

    assert load_watch().ping_url


def test_reading_who_is_told_imports_nothing_that_a_run_needs_later() -> None:
    code = (
        "import json, sys\nfrom etl.settings import load_watch\nfound = load_watch().notified\n"
        "print(json.dumps([found, [name for name in sys.modules if name in ('httpx', 'apprise')]]))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "SYNC_NOTIFY": "slack", "SLACK_WEBHOOK_URL": WEBHOOK, "SYNC_PING_URL": PING},
        capture_output=True,
        check=True,
    )

    assert json.loads(ended.stdout) == [["slack"], []]
