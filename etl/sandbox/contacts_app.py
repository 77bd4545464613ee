"""What HubSpot's endpoints for contacts answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etl.sandbox.batch_inputs import MOST_INPUTS, ids_of, optional_text
from etl.sandbox.batch_write import BatchWrite
from etl.sandbox.contacts import EMAIL, MOST_MERGES
from etl.sandbox.hubspot_calls import READ, WRITE, allow, asks_for_archived, json_object
from etl.sandbox.hubspot_errors import RowRefusedError, invalid, refused
from etl.sandbox.hubspot_schema import normal_address
from etl.sandbox.search import LONGEST_BODY, Search
from etl.sandbox.wire import Reply, instant_text, json_reply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etl.sandbox.hubspot import HubSpotWorld
    from etl.sandbox.wire import Call, RefusedError

MOST_INPUTS_WITH_HISTORY = 50
_DONE = Reply(204)


class ContactEndpoints:
    """Each method answers one admitted request, or raises RefusedError."""

    def __init__(self, world: HubSpotWorld) -> None:
        self._world = world

    def upsert(self, call: Call) -> Reply:
        return self._write(call, creates=True)

    def update(self, call: Call) -> Reply:
        return self._write(call, creates=False)

    def read(self, call: Call) -> Reply:
        """Contacts by a unique value, or by HubSpot's id; unknown ones are one error of a 207."""
        allow(self._world, call, READ)
        body = json_object(call)
        names, past = _names(body, "properties"), _names(body, "propertiesWithHistory")
        ids = ids_of(body, most=MOST_INPUTS_WITH_HISTORY if past else MOST_INPUTS)
        by = optional_text(body, "idProperty")
        if by is not None:
            self._world.schema.require_unique(by)
        store = self._world.store
        find = store.find_archived if asks_for_archived(call) else store.find
        found = {value: find(by, value) for value in ids}
        contacts = dict.fromkeys(contact_id for contact_id in found.values() if contact_id)
        shown = [self._world.shown(contact_id, names, past=past) for contact_id in contacts]
        self._world.random.shuffle(shown)
        return self._read(shown, [value for value, contact_id in found.items() if contact_id is None])

    def search(self, call: Call) -> Reply:
        allow(self._world, call, READ)
        world, now = self._world, self._world.now()
        if (most := world.searches_per_second) is not None and world.search_pace.count(now) >= most:
            message = "You have reached your secondly limit."
            raise refused(429, "RATE_LIMITS", message, errorType="RATE_LIMIT", policyName="SECONDLY")
        world.search_pace.add(now)
        if len(call.body.decode(errors="replace")) > LONGEST_BODY:
            raise invalid(f"The body of a search has at most {LONGEST_BODY} characters.")
        search = Search.of(json_object(call), world.schema)
        return json_reply(search.answer(world.store.index.shown(world.store.by_id, now=now).values()))

    def merge(self, call: Call) -> Reply:
        """The contact that both have become."""
        allow(self._world, call, WRITE)
        body = json_object(call)
        primary, other = (self._named(body, name) for name in ("primaryObjectId", "objectIdToMerge"))
        if primary == other:
            raise invalid("A contact cannot be merged with itself.")
        store = self._world.store
        if store.merges.get(primary, 0) + store.merges.get(other, 0) >= MOST_MERGES:
            raise invalid(f"A contact can take part in at most {MOST_MERGES} merges.")
        merged_id = self._world.merge(primary, other)
        return json_reply(self._world.shown(merged_id, sorted(store.by_id[merged_id])))

    def erase(self, call: Call) -> Reply:
        """For good; an address is blocked whether or not anybody has it."""
        allow(self._world, call, WRITE)
        body = json_object(call)
        value, by = _required_text(body, "objectId"), optional_text(body, "idProperty")
        if by is not None:
            self._world.schema.require_unique(by)
        store = self._world.store
        contact_id = store.find(by, value) or store.find_archived(by, value)
        if contact_id is not None:
            self._world.erase(contact_id)
        elif by != EMAIL:
            raise _nobody(value)
        if by == EMAIL:
            self._world.gdpr_deleted.add(normal_address(value))
        return _DONE

    def archive(self, call: Call) -> Reply:
        """One contact, into the recycle bin; that it is there already is no matter."""
        allow(self._world, call, WRITE)
        contact_id = call.parts["contact"]
        if self._world.store.find_archived(None, contact_id) is None:
            self._world.store.archive(self._live(contact_id), now=self._world.now())
        return _DONE

    def archive_batch(self, call: Call) -> Reply:
        """Ids that lead to nobody are no matter."""
        allow(self._world, call, WRITE)
        for value in ids_of(json_object(call)):
            if contact_id := self._world.store.find(None, value):
                self._world.store.archive(contact_id, now=self._world.now())
        return _DONE

    def _write(self, call: Call, *, creates: bool) -> Reply:
        allow(self._world, call, WRITE)
        batch = BatchWrite(self._world, version=call.parts["version"], creates=creates)
        return batch.reply(json_object(call))

    def _read(self, shown: Sequence[dict[str, Any]], missing: Sequence[str]) -> Reply:
        now = instant_text(self._world.now())
        answer = {"status": "COMPLETE", "startedAt": now, "completedAt": now, "results": shown}
        if not missing:
            return json_reply(answer)
        message = (
            "Could not get some CONTACT objects, they may be deleted or not exist. Check that ids are valid."
        )
        error = RowRefusedError("OBJECT_NOT_FOUND", message, ids=missing).as_json(None)
        return json_reply({**answer, "numErrors": 1, "errors": [error]}, status=207)

    def _named(self, body: dict[str, Any], name: str) -> str:
        return self._live(_required_text(body, name))

    def _live(self, value: str) -> str:
        """The id of the contact that ``value`` leads to. Raises RefusedError."""
        contact_id = self._world.store.find(None, value)
        if contact_id is None:
            raise _nobody(value)
        return contact_id


def _nobody(value: str) -> RefusedError:
    return refused(404, "OBJECT_NOT_FOUND", f"No contact has the ID {value}.")


def _required_text(body: dict[str, Any], name: str) -> str:
    value = optional_text(body, name)
    if value is None:
        raise invalid(f"Some required fields were not set: [{name}]")
    return value


def _names(body: dict[str, Any], name: str) -> list[str]:
    listed = body.get(name, [])
    if not isinstance(listed, list):
        raise invalid(f"Some required fields were not set: [{name}]")
    return [str(each) for each in listed]
