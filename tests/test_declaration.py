"""A fleet in ``visitor-sync.toml``: what it comes to, and everything that can be wrong with it."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from program import OURS

from etl.errors import SettingsError
from etl.settings import (
    choose_portal,
    declares_fleet,
    exposed,
    foreign_variables,
    load,
    load_fleet,
    load_places,
    load_status,
    load_sync,
    load_token,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SECRETS = {"AGENCY_KEY": "zv_geheimnis", "ACME_TOKEN": "pat-geheimnis-1", "BETA_TOKEN": "pat-geheimnis-2"}

FIVE = "\N{ARABIC-INDIC DIGIT FIVE}"
"""A digit, to Python."""

AGENCY = '[[keys]]\nname = "agency"\nkey_env = "AGENCY_KEY"\n'
ACME = '[[portals]]\nname = "acme"\ntoken_env = "ACME_TOKEN"\n'
BETA = '[[portals]]\nname = "be-ta"\ntoken_env = "BETA_TOKEN"\n'


def site(website: str, portal: str, key: str = "agency", **more: str) -> str:
    facts = {"website": website, "portal": portal, "key": key, **more}
    return "\n".join(["[[sites]]", *(f'{name} = "{text}"' for name, text in facts.items()), ""])


SITES = site("w-1", "acme") + site("w-2", "acme", every="15m") + site("w-1", "be-ta")
ONE = AGENCY + ACME
TWO = ONE + BETA + SITES


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The secrets are in the environment, and nothing else of ours is set."""
    for name in [name for name in os.environ if name.upper().startswith((*OURS, "SLACK_"))]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    for name, text in SECRETS.items():
        monkeypatch.setenv(name, text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("etl.settings.sources.MOUNTED", tmp_path / "mounted")
    yield
    choose_portal(None)


@pytest.fixture
def declare(tmp_path: Path) -> Callable[[str], Path]:
    def declare(text: str) -> Path:
        path = tmp_path / "visitor-sync.toml"
        path.write_text(text)
        return path

    return declare


def wrong() -> list[str]:
    """What is told of the file, without its place."""
    with pytest.raises(SettingsError) as raised:
        load_fleet()
    assert raised.value.exit_code == 2
    assert "geheimnis" not in str(raised.value)
    lines = [line.strip() for line in str(raised.value).splitlines()[1:-1]]
    return [line.partition("visitor-sync.toml: ")[2] or line for line in lines]


def test_a_tenant_is_what_one_key_reads_for_one_portal(declare: Callable[[str], Path]) -> None:
    declare(TWO)

    fleet = load_fleet()

    assert [(each.portal, each.key, dict(each.every)) for each in fleet.tenants] == [
        ("acme", "agency", {"w-1": timedelta(minutes=5), "w-2": timedelta(minutes=15)}),
        ("be-ta", "agency", {"w-1": timedelta(minutes=5)}),
    ]
    assert [each.settings.zenovay.website_id for each in fleet.tenants] == [("w-1", "w-2"), ("w-1",)]
    tokens = [each.settings.hubspot.access_token.get_secret_value() for each in fleet.tenants]
    assert tokens == ["pat-geheimnis-1", "pat-geheimnis-2"]
    assert set(fleet.secrets()) == set(SECRETS.values())
    assert fleet.portals() == ("acme", "be-ta")
    assert fleet.tenant("be-ta", "w-1").portal == "be-ta"


def test_a_portal_with_two_keys_is_two_tenants_on_one_state(
    declare: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OWN_KEY", "zv_own")
    own = '[[keys]]\nname = "own"\nkey_env = "OWN_KEY"\npage_size = 7\n'
    declare(own + AGENCY + ACME + site("w-1", "acme") + site("w-2", "acme", "own"))

    own_tenant, agency = load_fleet().tenants_of("acme")

    assert (own_tenant.key, agency.key) == ("own", "agency")
    assert (own_tenant.settings.zenovay.page_size, agency.settings.zenovay.page_size) == (7, 1000)
    assert own_tenant.settings.sync.state_url == agency.settings.sync.state_url
    choose_portal("acme")
    with pytest.raises(SettingsError, match="several keys"):
        load()
    assert load_status()[0].website_id == ("w-1", "w-2")


def test_what_a_portal_says_wins_over_the_environment_that_holds_for_the_others(
    declare: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SYNC_ANONYMOUS", "skip")
    monkeypatch.setenv("SYNC_LINK_PROPERTY", "from_all")
    (tmp_path / ".env").write_text("HUBSPOT_CONCURRENCY=2\nZENOVAY_REQUESTS_PER_MINUTE=20\n")
    told = 'anonymous = "match"\nlink_property = ""\nconcurrency = 3\nfields = ["basic", "scoring"]\n'
    declare(AGENCY + ACME + told + "requests_per_day = 1000\n" + BETA + SITES)

    acme, beta = (tenant.settings for tenant in load_fleet().tenants)

    assert (acme.sync.anonymous, beta.sync.anonymous) == ("match", "skip")
    assert (acme.sync.link_property, beta.sync.link_property) == (None, "from_all")
    assert (acme.hubspot.concurrency, beta.hubspot.concurrency) == (3, 2)
    assert acme.sync.fields == ("basic", "scoring")
    assert (acme.zenovay.requests_per_minute, beta.zenovay.requests_per_minute) == (20, 20)
    assert [each.shared and each.shared.requests_per_day for each in (acme, beta)] == [1000, None]


def test_own_fields_and_their_settings_hold_for_portals(declare: Callable[[str], Path]) -> None:
    field = '[fields.plan]\nfrom = ["traits.plan"]\n'
    declare(AGENCY + ACME + 'plan_property = "abo"\n' + BETA + SITES + field)

    acme, beta = (tenant.settings.sync for tenant in load_fleet().tenants)

    assert (acme.plan_property, beta.plan_property) == ("abo", "zenovay_plan")  # type: ignore[attr-defined]


def test_a_site_that_is_read_often_is_not_held_up_by_the_usual_pause(declare: Callable[[str], Path]) -> None:
    declare(AGENCY + ACME + BETA + site("w-1", "acme", every="1m") + site("w-2", "be-ta", every="1h"))

    assert [each.settings.sync.min_interval for each in load_fleet().tenants] == [
        timedelta(seconds=50),
        timedelta(minutes=4, seconds=50),
    ]
    choose_portal("acme")
    assert load_sync().min_interval == timedelta(seconds=50)


@pytest.mark.parametrize(
    ("base", "state", "shared"),
    [
        ("sqlite:////srv/state.db", "sqlite:////srv/portals/be-ta.db", "sqlite:////srv/fleet.db"),
        ("sqlite:///state.db", "sqlite:///portals/be-ta.db", "sqlite:///fleet.db"),
        (
            "postgresql+psycopg://u:p%40ss@h/d?sslmode=require",
            "postgresql+psycopg://u:p%40ss@h/d?schema=visitor_sync_be_ta&sslmode=require",
            "postgresql+psycopg://u:p%40ss@h/d?schema=visitor_sync&sslmode=require",
        ),
        (
            "postgresql+psycopg://h/d?schema=base",
            "postgresql+psycopg://h/d?schema=base_be_ta",
            "postgresql+psycopg://h/d?schema=base",
        ),
    ],
)
def test_states_are_beside_each_other(
    declare: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, base: str, state: str, shared: str
) -> None:
    monkeypatch.setenv("SYNC_STATE_URL", base)
    declare(TWO)

    fleet = load_fleet()

    beta = fleet.tenants[1].settings
    assert beta.sync.state_url == state
    assert fleet.url == shared
    assert beta.shared
    assert (beta.shared.url, beta.shared.portal, beta.shared.key) == (shared, "be-ta", "agency")
    choose_portal("be-ta")
    places = load_places()
    assert places
    assert places.state_url == state


def test_secrets_may_stand_in_an_env_file_or_in_files(
    declare: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in SECRETS:
        monkeypatch.delenv(name)
    (tmp_path / "mounted").mkdir()
    (tmp_path / "mounted" / "agency_key").write_text("zv_mounted\n")
    (tmp_path / "token").write_text("pat-filed")
    env = tmp_path / ".env"
    env.write_text("HUBSPOT_BETA=pat-env\n")
    env.chmod(0o644)
    acme = f'[[portals]]\nname = "acme"\ntoken_file = "{tmp_path}/token"\n'
    declare(AGENCY + acme + BETA.replace("BETA_TOKEN", "HUBSPOT_BETA") + SITES)

    assert load_fleet().secrets() == ("zv_mounted", "pat-filed", "pat-env")
    assert foreign_variables() == {}
    assert "holds a secret" in (exposed() or "")


def test_a_chosen_portal_needs_no_secret_of_the_others(
    declare: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BETA_TOKEN")
    declare(TWO)
    choose_portal("acme")

    assert load_fleet().portals() == ("acme",)
    settings = load()
    assert settings.secrets() == ("zv_geheimnis", "pat-geheimnis-1")
    assert settings.shared


def test_without_its_token_a_portal_can_be_looked_at(
    declare: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BETA_TOKEN")
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "pat-of-another-portal")
    declare(TWO)
    choose_portal("be-ta")

    assert load_status()[0].website_id == ("w-1",)
    assert load_token() is None
    assert wrong() == ["portals.be-ta: BETA_TOKEN is missing: the variable that token_env names."]


def test_an_unknown_portal_is_told_with_the_nearest(declare: Callable[[str], Path]) -> None:
    declare(TWO)
    choose_portal("acne")

    with pytest.raises(SettingsError, match="nearest one is acme; there are acme, be-ta"):
        load()


@pytest.mark.parametrize("name", ["pat-geheimnis", "zv_geheimnis", "Geheimnis", "geheimnis" * 5])
def test_what_can_be_no_name_of_a_portal_is_not_shown(declare: Callable[[str], Path], name: str) -> None:
    declare(TWO)
    choose_portal(name)

    with pytest.raises(
        SettingsError, match=r"^The name of a portal must begin with a small letter"
    ) as raised:
        load()
    assert "eheimnis" not in str(raised.value)


@pytest.mark.parametrize("key", ["pat-geheimnis", "zv_geheimnis", '"a@geheimnis.test"', "geheimnis" * 7])
def test_a_secret_in_place_of_a_key_is_not_shown(declare: Callable[[str], Path], key: str) -> None:
    line = f'{key} = "x"\n'
    declare(f"{line}{AGENCY}{line}{ACME}{line}{SITES}{line}[exclude]\n{line}[fields.x]\n{line}")

    assert sum("<not shown, as it may be a secret>" in each for each in wrong()) == 6


@pytest.mark.parametrize("text", ["geheimnis", "pat-geheimnis"])
def test_a_secret_in_place_of_its_file_is_not_shown(
    declare: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    declare(ONE.replace('key_env = "AGENCY_KEY"', f'key_file = "{"geheimnis" * 40}"') + SITES)
    monkeypatch.delenv("ACME_TOKEN")
    monkeypatch.setenv("ACME_TOKEN_FILE", text)

    told = wrong()

    assert sum("the file that it names (not shown: it has no slash and no dot)" in each for each in told) == 2


def test_where_portals_are_declared_one_must_be_chosen(declare: Callable[[str], Path]) -> None:
    declare(TWO)

    for read in (load, load_sync, load_status):
        with pytest.raises(SettingsError, match="--portal NAME, of acme, be-ta; visitor-sync run --all"):
            read()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (TWO + site("w-3", "acmee"), "sites: entry 4 (w-3): portal names none"),
        (AGENCY + ACME.replace("acme", "Acme") + SITES, "portals: entry 1: name must begin"),
        (TWO + "[[portals]\n", "is not TOML"),
        ("portals = [\n" + TWO, "is not TOML"),
    ],
)
def test_where_no_portal_is_chosen_a_mistake_in_the_file_is_all_that_is_told(
    declare: Callable[[str], Path], text: str, told: str
) -> None:
    declare(text)

    for read in (load, load_status, load_fleet):
        with pytest.raises(SettingsError) as raised:
            read()
        assert told in str(raised.value)
        assert "ZENOVAY_API_KEY" not in str(raised.value)


def test_where_no_portal_is_chosen_a_mistake_in_the_env_file_is_all_that_is_told(
    declare: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("SYNC_PORTAL=acme\n")
    declare(TWO)

    with pytest.raises(SettingsError) as raised:
        load()
    assert "SYNC_PORTAL is not a setting" in str(raised.value)
    assert "ZENOVAY_API_KEY" not in str(raised.value)


def test_a_set_up_by_environment_goes_on_beside_a_fleet(
    declare: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZENOVAY_API_KEY", "zv_single")
    monkeypatch.setenv("ZENOVAY_WEBSITE_ID", "w-9")
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "pat-single")
    declare(TWO)

    settings = load()

    assert settings.secrets() == ("zv_single", "pat-single")
    assert (settings.shared, settings.sync.state_url) == (None, None)


def test_without_portals_there_is_no_fleet(declare: Callable[[str], Path]) -> None:
    assert not declares_fleet()
    with pytest.raises(SettingsError, match=r"There is no .*/visitor-sync.toml.*SYNC_CONFIG names another"):
        load_fleet()
    choose_portal("acme")
    with pytest.raises(SettingsError, match="There is no"):
        load()
    choose_portal(None)
    declare("[exclude]\n")
    with pytest.raises(SettingsError, match=r"/visitor-sync.toml declares no portals.*help fleet"):
        load_fleet()
    declare(TWO)
    assert declares_fleet()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (ONE + site("w-1", "acmee"), "portal names none of [[portals]]; the nearest one is acme"),
        (
            ONE + site("w-1", "acme", "agncy"),
            "key names none of [[keys]]; the nearest one is agency",
        ),
        (TWO + site("w-2", "acme"), "sites: w-2 is declared twice for the portal acme."),
        (TWO + ACME, "portals.acme is declared twice."),
        (TWO + AGENCY, "keys.agency is declared twice."),
        (TWO + BETA.replace("be-ta", "be_ta"), "portals.be-ta and portals.be_ta differ in"),
        (TWO + BETA.replace("be-ta", "gamma"), "portals.be-ta and portals.gamma hold one token"),
        (AGENCY.replace("agency", "twin") + TWO, "keys.twin and keys.agency hold one key"),
        (ONE + 'token = "geheimnis"\n' + SITES, "portals.acme: token is written in the file"),
        (ONE + 'note = "pat-geheimnis"\n' + SITES, "portals.acme: note is written in the file"),
        (ONE.replace("ACME_TOKEN", "pat-geheimnis") + SITES, "portals.acme: token_env is written"),
        (ONE.replace("AGENCY_KEY", "zv_geheimnis") + SITES, "keys.agency: key_env is written"),
        (ONE.replace("AGENCY_KEY", "geheimnis") + SITES, "keys.agency: key_env must be the name"),
        (
            AGENCY.replace("AGENCY_KEY", "ABSENT") + ACME + SITES,
            "keys.agency: ABSENT is missing: the variable",
        ),
        (AGENCY.replace("_env", "_file") + ACME + SITES, "keys.agency: key_file: the file "),
        (
            AGENCY.replace("AGENCY_KEY", "ACME_TOKEN") + ACME + SITES,
            "keys.agency: ACME_TOKEN begins with pat-",
        ),
        (
            ONE.replace("ACME_TOKEN", "AGENCY_KEY") + SITES,
            "portals.acme: AGENCY_KEY begins with zv_",
        ),
        (AGENCY + 'key_file = "/x"\n' + ACME + SITES, "key_env and key_file are both there"),
        (AGENCY.replace('key_env = "AGENCY_KEY"\n', "") + ACME + SITES, "keys.agency: key_env is missing"),
        (
            ONE + 'anonymos = "match"\n' + SITES,
            "anonymos is no key of portals; the nearest",
        ),
        (ONE + 'anonymous = "geheimnis"\n' + SITES, "portals.acme: anonymous must be"),
        (ONE + 'api_version = "v1"\n' + SITES, "portals.acme: api_version must be YYYY-MM, the year and"),
        (ONE + 'initial_range = "366d"\n' + SITES, "initial_range must be less than or equal to 365 days."),
        (ONE + "concurrency = 99\n" + SITES, "portals.acme: concurrency must be less than"),
        (
            ONE + "concurrency = true\n" + SITES,
            "portals.acme: concurrency must be a valid integer",
        ),
        (
            ONE + 'state_url = "sqlite:///x"\n' + SITES,
            "portals.acme: state_url is common to all portals: set SYNC_STATE_URL in the environment",
        ),
        *(
            (ONE + f"requests_per_day = {text}\n" + SITES, "requests_per_day must be a whole number from 1")
            for text in ("0", "1.5", "true", "1000000001", "9" * 20, f'"{FIVE}"', '"²"', f'"{"9" * 5000}"')
        ),
        *(
            (AGENCY + f"requests_per_month = {text}\n" + ACME + SITES, "keys.agency: requests_per_month must")
            for text in ("1000000001", str(2**63), f'"{FIVE}"', f"0x{'f' * 4000}")
        ),
        (AGENCY + f"requests_per_month = {'9' * 5000}\n" + ACME + SITES, "a number in it is too long."),
        (AGENCY + f'reserve = "{FIVE}%"\n' + ACME + SITES, "keys.agency: reserve must be a share"),
        (AGENCY + 'paging = ["page"]\n' + ACME + SITES, "keys.agency: paging must be a text or a number"),
        (ONE + f'lookback = "{FIVE}m"\n' + SITES, "portals.acme: lookback must be a duration"),
        (ONE + site("w-1", "acme", every=f"{FIVE}m"), "every must be a duration"),
        (ONE + SITES + 'every = ["5m"]\n', "every must be a text or a number"),
        (AGENCY + "page_size = 0\n" + ACME + SITES, "keys.agency: page_size must be greater"),
        (ONE + "known = true\n" + SITES, "portals.acme: known must be 'upsert' or 'match'"),
        (
            ONE + 'SYNC_ANONYMOUS = "match"\n' + SITES,
            "portals.acme: SYNC_ANONYMOUS is no key of portals: write anonymous.",
        ),
        (ONE + 'Anonymous = "match"\n' + SITES, "Anonymous is no key of portals: write anonymous."),
        (ONE + 'hubspot_base_url = "x"\n' + SITES, "hubspot_base_url is no key of portals: write base_url."),
        (ONE + "ZENOVAY_PAGE_SIZE = 5\n" + SITES, "ZENOVAY_PAGE_SIZE belongs to [[keys]], as page_size."),
        (AGENCY + "ZENOVAY_PAGE_SIZE = 5\n" + ACME + SITES, "is no key of keys: write page_size."),
        (AGENCY + "requests_per_day = 5\n" + ACME + SITES, "requests_per_day belongs to [[portals]]."),
        (ONE + 'notify = "slack"\n' + SITES, "notify is common to all portals: set SYNC_NOTIFY"),
        (ONE + 'website = "w-1"\n' + SITES, "portals.acme: website belongs to [[sites]]"),
        (ONE + 'every = "5m"\n' + SITES, "portals.acme: every belongs to [[sites]]"),
        (ONE + 'key = "agency"\n' + SITES, "portals.acme: key belongs to [[sites]]"),
        (ONE + 'key = "zv_geheimnis"\n' + SITES, "portals.acme: key is written in the file"),
        (ONE + "page_size = 5\n" + SITES, "portals.acme: page_size belongs to [[keys]]"),
        (ONE + site("w-1", "acme", interval="5m"), "the nearest one is every"),
        (ONE + "[[sites]]\nwebsite = 17\n", "website must be a text, in quotation marks"),
        (ONE + site("w-1", "acme", every="40d"), "every must be"),
        (ONE + site("w-1", "acme", every="25h"), "every must be at most 24h"),
        (TWO + "[[websites]]\n", "websites is no key of this file; the nearest one is sites, as [[sites]]."),
        ('websites = "x"\n' + TWO, "the nearest one is sites, and a secret never stands in it."),
        (
            ONE + '[portals]\nname = "x"\n',
            "line 7 is not TOML: a table for the second time; one of several has two brackets",
        ),
        (ONE + site("w-1", "acme", every="30s"), "every must be at least 1m"),
        (ONE + site("w-1", "acme", every="geheimnis"), "every must be a duration"),
        (ONE + site("w/1", "acme"), "website must be the id of one website"),
        (
            ONE + site("w-1", "acme", ever="5m"),
            "ever is no key of a site; the nearest",
        ),
        (ONE + "[[sites]]\nwebsite = 7\n", "portal is missing: the name of one of [[portals]]"),
        (ONE.replace("acme", "Geheimnis!") + SITES, "portals: entry 1: name must begin"),
        (ONE, "[[sites]] is missing"),
        (
            AGENCY.replace("[[keys]]", "[keys]") + ACME + SITES,
            "keys must be a table for each key",
        ),
        ("keys = [1]\n" + ACME + SITES, "keys: entry 1: must be a table"),
    ],
)
def test_what_is_wrong_is_told_without_its_value(
    declare: Callable[[str], Path], text: str, told: str
) -> None:
    declare(text)

    assert [line for line in wrong() if told in line] != []


@pytest.mark.parametrize("name", ["Acme", "gl\u00f6bex", "1globex", "g" * 41, "../globex", " globex! "])
def test_a_site_is_right_in_naming_a_portal_or_key_whose_own_name_is_wrong(
    declare: Callable[[str], Path], name: str
) -> None:
    told = "name must begin with a small letter; then letters, digits, - and _, 40 in all."

    declare(TWO + BETA.replace("be-ta", name) + site("w-3", name) + site("w-4", name))
    assert wrong() == [f"portals: entry 3: {told}"]

    declare(TWO + AGENCY.replace("agency", name) + site("w-3", "acme", name))
    assert wrong() == [f"keys: entry 2: {told}"]


@pytest.mark.parametrize("other", [ACME, ACME.replace("acme", "Globex"), '[[portals]]\ntoken_env = "X"\n'])
def test_no_other_portal_is_suggested_where_the_name_of_one_is_wrong(
    declare: Callable[[str], Path], other: str
) -> None:
    declare(TWO + other + site("w-3", "globex"))

    assert "sites: entry 4 (w-3): portal names none of [[portals]]." in wrong()


def test_one_mistake_in_a_thousand_tables_is_told_ten_times_and_others_all(
    declare: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    sites = "".join(site(f"w-{number}", "acme", "agncy", every="x") for number in range(1000))
    declare(ONE + sites + site("w/1", "acme", "agncy") + site("ann@example.com", "acmee"))

    with pytest.raises(SettingsError, match=r"^2003 settings are wrong:"):
        load_fleet()
    told = wrong()

    key, every, website, portal = (
        [line for line in told if word in line] for word in ("key names", "every", "one website", "portal n")
    )
    assert len(told) == 22
    suggested = "key names none of [[keys]]; the nearest one is agency."
    assert key[:2] == [f"sites: entry 1 (w-0): {suggested}", f"sites: entry 2 (w-1): {suggested}"]
    assert key[9:] == [f"sites: entry 10 (w-9): {suggested} 991 more like this one."]
    assert every[9:] == [
        "sites: entry 10 (w-9): every must be a duration such as 5m or 1h. 990 more like this one."
    ]
    assert website == ["sites: entry 1001: website must be the id of one website."]
    assert portal == ["sites: entry 1002: portal names none of [[portals]]; the nearest one is acme."]


def test_secrets_that_are_not_there_are_told_ten_times(declare: Callable[[str], Path]) -> None:
    names = [f"p{number}" for number in range(20)]
    missing = [ACME.replace("acme", name).replace("ACME_TOKEN", f"{name.upper()}_TOKEN") for name in names]
    filed = [f'[[keys]]\nname = "{name}"\nkey_file = "/x/{name}"\n' for name in names]
    declare(AGENCY + "".join([*missing, *filed, *(site("w", name, name) for name in names)]))

    told = wrong()

    assert len(told) == 20
    assert told[0] == "portals.p0: P0_TOKEN is missing: the variable that token_env names."
    assert sum("10 more like this one." in line for line in told) == 2


def test_a_site_that_is_declared_twice_is_told_once(declare: Callable[[str], Path]) -> None:
    declare(TWO + site("w-2", "acme"))

    assert wrong() == ["sites: w-2 is declared twice for the portal acme."]


def test_a_mistake_in_the_file_is_to_be_mended_there(
    declare: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = declare(TWO + "every = 7\n")
    in_the_file = f"Mend what is wrong in {path} there (visitor-sync help fleet)."

    with pytest.raises(SettingsError) as raised:
        load_fleet()
    assert str(raised.value.fix).strip() == in_the_file

    monkeypatch.setenv("SYNC_LOOKBACK", "geheimnis")
    with pytest.raises(SettingsError) as raised:
        load_fleet()
    assert str(raised.value.fix).endswith(f".env.example lists them all. {in_the_file}")

    monkeypatch.delenv("SYNC_LOOKBACK")
    monkeypatch.delenv("BETA_TOKEN")
    declare(TWO)
    with pytest.raises(SettingsError) as raised:
        load_fleet()
    assert in_the_file not in str(raised.value.fix)
    assert "in the environment" in str(raised.value.fix)


def test_a_portal_in_capitals_has_its_own_as_the_nearest(declare: Callable[[str], Path]) -> None:
    declare(TWO)
    choose_portal("ACME")

    with pytest.raises(SettingsError, match="nearest one is acme"):
        load()


def test_one_token_in_a_variable_and_a_file_is_one_token(
    declare: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(f"{SECRETS['ACME_TOKEN']}\n")
    filed = f'[[portals]]\nname = "be-ta"\ntoken_file = "{tmp_path}/token"\n'
    declare(AGENCY + ACME + filed + SITES)

    assert wrong() == ["portals.acme and portals.be-ta hold one token: each must have its own."]


def test_everything_is_told_at_once_and_each_once(
    declare: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BETA_TOKEN")
    monkeypatch.setenv("SYNC_LOOKBACK", "geheimnis")
    declare(AGENCY + ACME + 'anonymous = "geheimnis"\n' + BETA + SITES + site("w-3", "nobody"))

    told = wrong()

    assert len(told) == len(set(told)) == 4
    assert sum("SYNC_LOOKBACK" in line for line in told) == 1


def test_a_mistake_in_a_secret_file_names_the_file(
    declare: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").write_text("")
    monkeypatch.delenv("ACME_TOKEN")
    monkeypatch.setenv("ACME_TOKEN_FILE", str(tmp_path / "empty"))
    declare(TWO)

    assert wrong() == [
        f"portals.acme: ACME_TOKEN_FILE: the file {tmp_path / 'empty'} is empty (environment)."
    ]


@pytest.mark.parametrize(
    ("base", "name", "told"),
    [
        ("sqlite:////srv/fleet.db", "be-ta", "SYNC_STATE_URL names fleet.db"),
        (f"postgresql+psycopg://h/d?schema={'s' * 50}", "b" * 20, "SYNC_STATE_URL leaves 12 characters"),
        ("mysql://h/geheimnis", "be-ta", "SYNC_STATE_URL must be sqlite"),
    ],
)
def test_a_place_that_cannot_hold_the_states_is_refused(
    declare: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, base: str, name: str, told: str
) -> None:
    monkeypatch.setenv("SYNC_STATE_URL", base)
    declare(TWO.replace("be-ta", name))

    assert [line for line in wrong() if told in line] != []


def test_a_plan_that_does_not_hold_the_sites_of_all_portals_is_remarked(
    declare: Callable[[str], Path],
) -> None:
    declare(AGENCY + "requests_per_minute = 1\n" + ACME + BETA + SITES + site("w-3", "acme", every="1m"))

    for portal in (None, "acme"):
        if portal:
            choose_portal(portal)
        month, minute = load_fleet().remarks()
        assert "The key agency has 4 sites, which need at least 65472 requests in a month" in month
        assert "leaves 9500 of 10000" in month
        assert 'With every = "19m" for all of them it fits.' in month
        assert "2 requests a minute, and its limit is 1" in minute


def test_what_no_site_uses_is_remarked(declare: Callable[[str], Path]) -> None:
    declare(AGENCY + ACME + BETA + site("w-1", "acme", every="1h"))

    assert load_fleet().remarks() == ["The portal be-ta has no site."]
    choose_portal("be-ta")
    assert load_status()[0].website_id is None
