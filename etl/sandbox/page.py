"""The page that shows what HubSpot holds."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_MOST_ROWS = 500
_REFRESH_S = 2
_FIRST = ("email", "zenovay_visitor_id", "firstname", "lastname", "country")
_LAST = ("createdate", "lastmodifieddate")
_STYLE = """
body{font:14px/1.4 system-ui,sans-serif;margin:2rem;color:#223}
table{border-collapse:collapse}
th,td{padding:.25rem .75rem;border-bottom:1px solid #dde;text-align:left}
th{position:sticky;top:0;background:#f4f5fa}
"""


def contacts_page(contacts: Mapping[str, Mapping[str, str]]) -> str:
    """An HTML page that reloads itself; the contacts changed last come first."""
    latest = sorted(contacts.items(), key=lambda pair: pair[1].get("lastmodifieddate", ""), reverse=True)
    shown = latest[:_MOST_ROWS]
    columns = _columns(contact for _, contact in shown)
    head = "".join(f"<th>{escape(name)}</th>" for name in ("id", *columns))
    rows = "".join(_row(contact_id, contact, columns) for contact_id, contact in shown)
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        f'<meta http-equiv=refresh content="{_REFRESH_S}"><title>Sandbox contacts</title>'
        f"<style>{_STYLE}</style></head><body><h1>{len(contacts)} contacts</h1>"
        f"<p>What the sandbox's HubSpot holds; the latest {len(shown)} are shown.</p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></body></html>"
    )


def _columns(contacts: Iterable[Mapping[str, str]]) -> list[str]:
    names = {name for contact in contacts for name in contact} - {"hs_object_id"}
    middle = sorted(names.difference(_FIRST, _LAST))
    return [name for name in (*_FIRST, *middle, *_LAST) if name in names]


def _row(contact_id: str, contact: Mapping[str, str], columns: list[str]) -> str:
    cells = (contact_id, *(contact.get(name, "") for name in columns))
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
