"""What a client does to HubSpot's contacts, and what a well-behaved one does not do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from etl.sandbox.batch_inputs import MOST_INPUTS
from etl.sandbox.contacts_app import MOST_INPUTS_WITH_HISTORY
from etl.sandbox.search import LONGEST_BODY
from storm.log import Violation, json_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etl.sandbox.wire import Call
    from storm.log import Recorded

_CONTACTS = re.compile(r"/crm/(?:objects/[^/]+|[^/]+/objects)/contacts(?:/(?P<rest>.+))?")
_TRACED = ("batch/upsert", "batch/update")
_WRITING = (*_TRACED, "batch/archive")
_CREATING = ("batch/upsert", "batch/create")


def operation(path: str) -> str | None:
    """What follows the path of the contacts; empty for the collection, None for other paths."""
    found = _CONTACTS.fullmatch(path)
    return (found["rest"] or "") if found else None


def writes_a_batch(path: str) -> bool:
    """Whether the answer must have a verdict on each input."""
    return operation(path) in _TRACED


def creates(request: Recorded) -> bool:
    """Whether a contact could be made by it."""
    asked = operation(request.path)
    if request.method != "POST" or asked is None:
        return False
    return asked == "" or (asked in _CREATING and bool(_inputs(request.body)))


def offences(call: Call) -> Iterator[Violation]:
    """What is wrong with the request on its own."""
    asked, body = operation(call.path), json_of(call.body)
    if asked == "search" and (size := len(call.body.decode(errors="replace"))) > LONGEST_BODY:
        yield Violation("search_too_long", f"{size} characters")
    with_history = isinstance(body, dict) and body.get("propertiesWithHistory")
    most = MOST_INPUTS_WITH_HISTORY if with_history else MOST_INPUTS
    if asked is not None and (count := len(_inputs(body))) > most:
        yield Violation("batch_too_large", f"{count} inputs, {call.path}")
    if asked in _TRACED and not _traced(body):
        yield Violation("missing_trace_id", "objectWriteTraceId is absent or not unique")


def written(call: Call) -> Iterator[tuple[str, str]]:
    """How the contacts are named that the request writes to: the unique property, or nothing, and the id."""
    asked, body = operation(call.path), json_of(call.body)
    if asked is not None and call.method == "DELETE":
        yield "", asked
    for each in _targets(asked, body):
        if isinstance(each, dict) and isinstance(each.get("id"), str):
            yield str(each.get("idProperty") or ""), each["id"]


def _targets(asked: str | None, body: Any) -> list[Any]:
    """In the form of the inputs of a batch."""
    if asked in _WRITING:
        return _inputs(body)
    if not isinstance(body, dict):
        return []
    if asked == "merge":
        return [{"id": body.get(name)} for name in ("primaryObjectId", "objectIdToMerge")]
    return [{**body, "id": body.get("objectId")}] if asked == "gdpr-delete" else []


def _inputs(body: Any) -> list[Any]:
    inputs = body.get("inputs") if isinstance(body, dict) else None
    return inputs if isinstance(inputs, list) else []


def _traced(body: Any) -> bool:
    """Whether every input can be told from the others in an answer."""
    traces = [each.get("objectWriteTraceId") for each in _inputs(body) if isinstance(each, dict)]
    return None not in traces and len(set(traces)) == len(traces)
