"""The page that shows what HubSpot holds, and what the team was told."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from etl.sandbox.team import Ping, SlackMessage

_MOST_ROWS = 500
_MOST_TOLD = 20
_REFRESH_S = 2
_FIRST = ("email", "zenovay_visitor_id", "firstname", "lastname", "country")
_LAST = ("createdate", "lastmodifieddate")
_STYLE = """
body{font:14px/1.4 system-ui,sans-serif;margin:2rem;color:#223}
table{border-collapse:collapse}
th,td{padding:.25rem .75rem;border-bottom:1px solid #dde;text-align:left}
th{position:sticky;top:0;background:#f4f5fa}
pre{margin:0;font:inherit;white-space:pre-wrap}
"""


def sandbox_page(
    contacts: Mapping[str, Mapping[str, str]],
    *,
    messages: Sequence[SlackMessage] = (),
    pings: Sequence[Ping] = (),
) -> str:
    """An HTML page that reloads itself; the latest messages and pings, if any, and contacts come first."""
    latest = sorted(contacts.items(), key=lambda pair: pair[1].get("lastmodifieddate", ""), reverse=True)
    shown = latest[:_MOST_ROWS]
    columns = _columns(contact for _, contact in shown)
    head = "".join(f"<th>{escape(name)}</th>" for name in ("id", *columns))
    rows = "".join(_row(contact_id, contact, columns) for contact_id, contact in shown)
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        f'<meta http-equiv=refresh content="{_REFRESH_S}"><title>Sandbox</title>'
        f"<style>{_STYLE}</style></head><body>{_told(messages, pings)}<h1>{len(contacts)} contacts</h1>"
        f"<p>What the sandbox's HubSpot holds; the latest {len(shown)} are shown.</p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></body></html>"
    )


def _told(messages: Sequence[SlackMessage], pings: Sequence[Ping]) -> str:
    posted = [(f"{each.at:%H:%M:%S}", _words(each)) for each in messages[-_MOST_TOLD:]]
    pinged = [(f"{each.at:%H:%M:%S}", f"{each.kind} {each.body}") for each in pings[-_MOST_TOLD:]]
    return _section(f"Slack: {len(messages)}", posted) + _section(f"Pings: {len(pings)}", pinged)


def _section(title: str, lines: Sequence[tuple[str, str]]) -> str:
    """The lines below a title, the last first; nothing where there is none."""
    rows = "".join(
        f"<tr><td>{at}</td><td><pre>{escape(text)}</pre></td></tr>" for at, text in reversed(lines)
    )
    return f"<h1>{title}</h1><table>{rows}</table>" if rows else ""


def _words(message: SlackMessage) -> str:
    """The fallback text, and the texts of the blocks."""
    inner = (block.get("text") for block in message.blocks)
    texts = [text for each in inner if isinstance(each, dict) and isinstance(text := each.get("text"), str)]
    return "\n".join([message.text, *texts])


def _columns(contacts: Iterable[Mapping[str, str]]) -> list[str]:
    names = {name for contact in contacts for name in contact} - {"hs_object_id"}
    middle = sorted(names.difference(_FIRST, _LAST))
    return [name for name in (*_FIRST, *middle, *_LAST) if name in names]


def _row(contact_id: str, contact: Mapping[str, str], columns: list[str]) -> str:
    cells = (contact_id, *(contact.get(name, "") for name in columns))
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
