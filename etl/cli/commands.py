"""The command line itself. Each command imports what it needs when it is called: cron starts us often."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from etl.cli.fleet.commands import fleet
from etl.cli.options import DRY_RUN_OPTION, Group, dry_run_options
from etl.cli.wish import interval, wish_options

if TYPE_CHECKING:
    from etl.cli.options import DryRun
    from etl.cli.wish import Wish

JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
WEBSITE_OPTION = click.option(
    "--website",
    "websites",
    metavar="W",
    multiple=True,
    help="Only this one of ZENOVAY_WEBSITE_ID; repeatable.",
)
SHOWN_CONTACTS = 50
RANGE_OPTION = click.option(
    "--range",
    "range_",
    type=click.Choice(("24h", "7d", "30d", "90d", "1y")),
    default="24h",
    show_default=True,
    help="How far back.",
)


class Kept(int):
    """The exit code of a command whose result is in the state, also where it cannot be printed."""


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="visitor-sync", message="%(version)s")
def program() -> None:
    """Keep website visitors from Zenovay up to date on the matching HubSpot contacts."""


@program.command()
@click.option("--cron", is_flag=True, help="Print only what needs a person, once; log to a file.")
@click.option("--every", metavar="DURATION", help="Stay, and run again on the clock, say every 5m.")
@dry_run_options
@wish_options
@JSON_OPTION
def run(*, wish: Wish, cron: bool, every: str | None, dry_run: DryRun | None, as_json: bool) -> int:
    """Sync what is new since the last run. Made for cron."""
    if cron:
        if as_json or dry_run or every:
            raise click.UsageError("--cron goes with none of --json, --dry-run and --every.")
        from etl.cli.unattended import unattended

        return Kept(unattended(wish))
    if every is not None:
        if dry_run:
            raise click.UsageError("--every does not go with --dry-run.")
        pause = interval(every)
        from etl.cli.staying import stay

        return Kept(stay(wish, every=pause, as_json=as_json))
    from etl.cli.attended import attended

    code = attended(wish, dry_run=dry_run, as_json=as_json)
    return code if dry_run else Kept(code)


@program.command()
@click.option("--from", "since", required=True, metavar="D", help="First day (UTC), or an ISO 8601 instant.")
@click.option("--to", "until", metavar="D", help="Last day, included, or an instant, excluded.")
@click.option(
    "--max-requests", metavar="N", type=click.IntRange(1), help="Ask Zenovay so often at most; go on later."
)
@WEBSITE_OPTION
@click.option("--plan", is_flag=True, help="Only say what it would cost; asks Zenovay twice at most.")
@dry_run_options
@JSON_OPTION
def backfill(
    *,
    since: str,
    until: str | None,
    max_requests: int | None,
    websites: tuple[str, ...],
    plan: bool,
    dry_run: DryRun | None,
    as_json: bool,
) -> int:
    """Sync a past range of dates. Does not move the watermark."""
    if plan:
        if dry_run:
            raise click.UsageError("Give either --plan or --dry-run.")
        from etl.cli.planning import plan_backfill

        return plan_backfill(
            since=since, until=until, max_requests=max_requests, websites=websites, as_json=as_json
        )
    from etl.cli.backfilling import past

    code = past(
        since=since,
        until=until,
        max_requests=max_requests,
        websites=websites,
        dry_run=dry_run,
        as_json=as_json,
    )
    return code if dry_run else Kept(code)


@program.command()
@JSON_OPTION
def check(*, as_json: bool) -> int:
    """Prove the whole path without writing: settings, access, rows, properties, state, limits."""
    from etl.cli.checks import check_all

    return check_all(as_json=as_json)


@program.command()
@click.option("--print", "only_print", is_flag=True, help="Show the properties, and ask HubSpot nothing.")
def setup(*, only_print: bool) -> int:
    """Create the HubSpot properties that are needed. Safe to repeat."""
    from etl.cli.setting_up import install_properties, print_properties

    return print_properties() if only_print else install_properties()


@program.command()
@click.option("--healthy", is_flag=True, help="Only say whether the sync is well: exit 0, or 1 and why.")
@click.option("--runs", metavar="N", type=click.IntRange(0), help="List the last N runs of each website.")
@click.option(
    "--contacts",
    type=click.Choice(("due", "rejected", "absent", "gone")),
    help="List the contacts that are so, and why.",
)
@click.option("--run", "one_run", metavar="ID", help="Show what that run did to which contacts.")
@click.option("--limit", metavar="N", type=click.IntRange(1), help="So many of them at most; default 50.")
@WEBSITE_OPTION
@JSON_OPTION
def status(
    *,
    healthy: bool,
    runs: int | None,
    one_run: str | None,
    contacts: str | None,
    limit: int | None,
    websites: tuple[str, ...],
    as_json: bool,
) -> int:
    """Show how each website fares, what is left of the month, the contacts and the lock."""
    if healthy + sum(each is not None for each in (runs, one_run, contacts)) > 1:
        raise click.UsageError("Give one of --healthy, --runs, --run and --contacts.")
    if limit is not None and contacts is None and one_run is None:
        raise click.UsageError("--limit goes with --contacts and --run.")
    if websites and (contacts or one_run):
        raise click.UsageError("--contacts and --run go without --website: contacts belong to no single one.")
    if one_run is not None:
        from etl.cli.one_run import show_run

        return show_run(one_run, most=limit or SHOWN_CONTACTS, as_json=as_json)
    if healthy:
        from etl.cli.health import show_health

        return show_health(websites=websites, as_json=as_json)
    from etl.cli.state_reports import show_contacts, show_status

    if contacts:
        return show_contacts(contacts, most=limit or SHOWN_CONTACTS, as_json=as_json)
    return show_status(runs=runs, websites=websites, as_json=as_json)


@program.command()
@click.argument("codes", nargs=-1, metavar="[TRACKING_CODE]...")
@click.option("--watch", is_flag=True, help="Go on until Ctrl-C, with a refresh every 10 seconds.")
@JSON_OPTION
def live(*, codes: tuple[str, ...], watch: bool, as_json: bool) -> int:
    """Show how many visitors are on the websites now.

    Public tracking codes (ZV_...) need no key and no setting; without them it is the websites of the
    settings.
    """
    from etl.cli.live import show_live

    return show_live(codes, watch=watch, as_json=as_json)


@program.command()
@click.argument("key", metavar="KEY|-")
@click.option("--offline", is_flag=True, help="Do not ask HubSpot what it holds now.")
@JSON_OPTION
def explain(*, key: str, offline: bool, as_json: bool) -> int:
    """Tell why a contact is as it is, by address, visitor id or record id.

    A dash reads the key from stdin. Nothing is written. visitor-sync help explain tells how to read it.
    """
    from etl.cli.explaining.command import explain_key

    return explain_key(key, offline=offline, as_json=as_json)


@program.command()
@click.argument("keys", nargs=-1, required=True, metavar="KEY...|-")
@click.option("--in-hubspot", is_flag=True, help="Also have HubSpot delete them, for good (GDPR).")
@click.option("--dry-run", is_flag=True, help="Only say what would be erased.")
@JSON_OPTION
def forget(*, keys: tuple[str, ...], in_hubspot: bool, dry_run: bool, as_json: bool) -> int:
    """Erase people, by address, visitor id or record id, and keep them away.

    A dash reads the keys from stdin, one a line.
    """
    from etl.cli.forgetting import forget_people

    code = forget_people(keys, in_hubspot=in_hubspot, dry_run=dry_run, as_json=as_json)
    return code if dry_run else Kept(code)


@program.command("forget-website")
@click.argument("website", metavar="W")
@click.option("--yes", "agreed", is_flag=True, help="Do not ask.")
def forget_website(*, website: str, agreed: bool) -> int:
    """Take a website that is synced no more out of the state; HubSpot's records stay."""
    from etl.cli import website_forgetting

    return Kept(website_forgetting.forget_website(website, agreed=agreed))


@program.command()
@click.argument("run", metavar="RUN")
@click.option("--archive-created", is_flag=True, help="Also archive contacts that the run had made.")
@DRY_RUN_OPTION
@JSON_OPTION
def undo(*, run: str, archive_created: bool, dry_run: bool, as_json: bool) -> int:
    """Put back what a run replaced, where nobody has changed it since.

    RUN is the id of a run, or how it begins: visitor-sync status lists the last ones.
    """
    from etl.cli.undoing import undo_run

    code = undo_run(run, archive_created=archive_created, dry_run=dry_run, as_json=as_json)
    return code if dry_run else Kept(code)


@program.command()
@click.option("--website", metavar="W", help="Only the contacts of this website's visitors.")
@click.option("--dry-run", is_flag=True, help="Only say how many contacts would become due.")
@click.option("--yes", "agreed", is_flag=True, help="Do not ask.")
def resync(*, website: str | None, dry_run: bool, agreed: bool) -> int:
    """Send everything that was confirmed once more, as to another or an emptied portal."""
    from etl.cli.resync import make_due

    return make_due(website=website, dry_run=dry_run, agreed=agreed)


@program.command()
@click.argument("kind", type=click.Choice(["cron", "systemd"]), default="cron")
@click.option("--install", is_flag=True, help="Put it in place, for the current user.")
@click.option("--remove", is_flag=True, help="Take out what is in place for the working directory.")
def schedule(*, kind: str, install: bool, remove: bool) -> int:
    """Print the line for cron, or the units for systemd, that call run as often as the plan affords."""
    if install and remove:
        raise click.UsageError("Give either --install or --remove.")
    from etl.cli.scheduling.command import install_schedule, print_schedule, remove_schedule

    if not (install or remove):
        return print_schedule(kind)
    return Kept(install_schedule(kind) if install else remove_schedule(kind))


@program.group(invoke_without_command=True)
@JSON_OPTION
@click.pass_context
def rejections(ctx: click.Context, *, as_json: bool) -> int:
    """Show what was refused and why, or make it due again."""
    ctx.obj = as_json
    if ctx.invoked_subcommand:
        return 0
    from etl.cli.rejections import list_rejections

    return list_rejections(as_json=as_json)


@rejections.command("list")
@click.option("--all", "everything", is_flag=True, help="Each by itself, not one line for each reason.")
@JSON_OPTION
@click.pass_obj
def rejections_list(outer_json: bool, *, everything: bool, as_json: bool) -> int:  # noqa: FBT001 -- click passes it so
    """Show what was refused and why."""
    from etl.cli.rejections import list_rejections

    return list_rejections(everything=everything, as_json=as_json or outer_json)


@rejections.command("retry")
@click.argument("keys", nargs=-1, metavar="[KEY]...")
@click.option("--all", "everything", is_flag=True, help="Retry everything; also what no KEY means.")
@JSON_OPTION
@click.pass_obj
def rejections_retry(outer_json: bool, *, keys: tuple[str, ...], everything: bool, as_json: bool) -> int:  # noqa: FBT001 -- likewise
    """Make refused contacts due again: those with a KEY, or all."""
    if keys and everything:
        raise click.UsageError("Give either --all or keys.")
    from etl.cli.rejections import retry_rejections

    return retry_rejections(keys, as_json=as_json or outer_json)


@program.command()
@RANGE_OPTION
@click.option("--slack", is_flag=True, help="Post it to the webhook of SLACK_WEBHOOK_URL.")
@click.option("--html", metavar="FILE", help="Write it as one page that needs nothing else.")
@JSON_OPTION
def report(*, range_: str, slack: bool, html: str | None, as_json: bool) -> int:
    """Show how the websites and their sync fare."""
    from etl.cli.reporting import make_report

    return make_report(range_, slack=slack, html=html, as_json=as_json)


@program.command()
@click.option("--visitors-above", "above", metavar="N", type=click.IntRange(0), help="More visitors than N.")
@click.option("--visitors-below", "below", metavar="N", type=click.IntRange(0), help="Fewer than N.")
@click.option("--drop", metavar="PERCENT", help="So many percent fewer than one range before.")
@RANGE_OPTION
@JSON_OPTION
def alert(*, above: int | None, below: int | None, drop: str | None, range_: str, as_json: bool) -> int:
    """Tell once when there are more or fewer visitors, and once when that has ended. Made for cron."""
    from etl.cli.alerting import evaluate
    from etl.watch.conditions import Condition

    given = {"above": above, "below": below, "drop": None if drop is None else _percent(drop)}
    limits = [(kind, limit) for kind, limit in given.items() if limit is not None]
    if len(limits) != 1:
        raise click.UsageError("Give one of --visitors-above, --visitors-below and --drop.")
    ((kind, limit),) = limits
    return evaluate(Condition(kind, limit, range_), as_json=as_json)  # type: ignore[arg-type]  # of the three


def _percent(text: str) -> float:
    try:
        share = float(text.strip().removesuffix("%"))
    except ValueError:
        share = 0.0
    if not 0 < share <= 100:  # noqa: PLR2004 -- percent
        raise click.UsageError("--drop must be a number of percent, more than 0 and at most 100.")
    return share


@program.command("help")
@click.argument("topic", required=False)
def help_topic(*, topic: str | None) -> int:
    """Explain a topic, or list what is explained."""
    from etl.cli.help import show_help

    return show_help(topic, commands=program.commands)


@program.command()
def demo() -> int:
    """Show the whole job on the sandbox; needs no account."""
    from etl.cli.demo import demonstrate

    return demonstrate()


@program.command()
@click.option("--port", default=0, metavar="N", type=click.IntRange(0, 65535), help="Default: a free one.")
@click.option("--arrivals", metavar="RATE", help="So many visitors come while it runs, say 5/min, 2/s, 30/h.")
def sandbox(*, port: int, arrivals: str | None) -> int:
    """Keep a Zenovay and a HubSpot running on loopback, and print the environment to use them."""
    from etl.cli.demo import keep_sandbox

    return keep_sandbox(port, arrivals=arrivals)


_WHERE_COMPLETIONS_GO = """\b
bash  visitor-sync completion bash > ~/.local/share/bash-completion/completions/visitor-sync
zsh   visitor-sync completion zsh > "${fpath[1]}/_visitor-sync"
fish  visitor-sync completion fish > ~/.config/fish/completions/visitor-sync.fish
"""


@program.command(epilog=_WHERE_COMPLETIONS_GO)
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(*, shell: str) -> int:
    """Print what makes a shell complete our commands and options."""
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    assert made  # noqa: S101 -- for mypy: click has these three
    click.echo(made(program, {}, "visitor-sync", "_VISITOR_SYNC_COMPLETE").source())
    return 0


@program.group()
def state() -> None:
    """Save the state, or move it to another database."""


@state.command("backup")
@click.argument("file")
@JSON_OPTION
def state_backup(*, file: str, as_json: bool) -> int:
    """Save the state in a new FILE, also while a run goes on."""
    from etl.cli.state_files import back_up_state

    return Kept(back_up_state(file, as_json=as_json))


@state.command("copy")
@click.argument("url", metavar="URL|-")
@JSON_OPTION
def state_copy(*, url: str, as_json: bool) -> int:
    """Copy the whole state into the empty database at URL; a dash reads it from stdin.

    Both databases are of SQLite or PostgreSQL. The state itself stays as it is.
    """
    from etl.cli.state_files import copy_state

    return Kept(copy_state(url, as_json=as_json))


program.add_command(fleet)
