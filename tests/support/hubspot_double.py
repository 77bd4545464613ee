"""A HubSpot on loopback whose every answer a test writes, byte for byte if need be."""

from __future__ import annotations

import json
import socket
import struct
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from fakes import FakeClock

from etl.fields import BASIC_FIELDS
from etl.load.client import HubSpotClient
from etl.load.properties import wanted_properties
from etl.models.contact import Parcel
from etl.pace import Pace
from etl.retry import Patience

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from etl.clock import Clock

PATIENCE = Patience()
TOKEN = "pat-na1-very-secret"
UPSERT = "/crm/objects/2026-03/contacts/batch/upsert"
READ = "/crm/objects/2026-03/contacts/batch/read"
PROPERTIES = "/crm/properties/2026-03/contacts"
WANTED = wanted_properties(BASIC_FIELDS)


@dataclass(frozen=True, slots=True)
class Asked:
    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True, slots=True)
class Answer:
    """``raw`` is sent instead of the rest; ``after`` says how the connection goes on from there."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    after: str = "keep"  # keep, close, reset, drip, hang


def says(value: Any, *, status: int = 200, **headers: str) -> Answer:
    """JSON, with headers named like ``Retry_After``."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Answer(status, json.dumps(value).encode(), named)


class HubSpotDouble:
    """``answer`` decides on each request; ``asked`` keeps them in order."""

    def __init__(self, answer: Callable[[Asked], Answer]) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self.closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @property
    def upserts(self) -> list[list[dict[str, Any]]]:
        """The inputs of each upsert, in order."""
        return [each.body["inputs"] for each in self.asked if each.path == UPSERT]

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler_of(double: HubSpotDouble) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            content = self.rfile.read(length)
            asked = Asked(
                self.command,
                self.path,
                {name.lower(): text for name, text in self.headers.items()},
                json.loads(content) if content else None,
            )
            double.asked.append(asked)
            with suppress(OSError):
                _write(double.answer(asked), to=self, closing=double.closing)

        do_POST = do_GET  # noqa: N815 -- http.server's name

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    return Handler


def _write(answer: Answer, *, to: BaseHTTPRequestHandler, closing: threading.Event) -> None:
    if answer.raw is None:
        to.send_response_only(answer.status)
        for name, text in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            to.send_header(name, text)
        to.end_headers()
        to.wfile.write(answer.body)
    else:
        to.wfile.write(answer.raw)
    to.wfile.flush()
    to.close_connection = answer.after != "keep"
    if answer.after == "reset":
        to.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        to.connection.close()
    elif answer.after == "hang":
        closing.wait(10)
    while answer.after == "drip" and not closing.wait(0.01):
        to.wfile.write(b" ")


@contextmanager
def client_of(
    url: str,
    *,
    clock: Clock | None = None,
    patience: Patience = PATIENCE,
    limit: int = 1000,
    timeout_s: tuple[float, float] = (5.0, 30.0),
    deadline_s: float = 60.0,
    api_version: str = "2026-03",
) -> Iterator[HubSpotClient]:
    clock = clock or FakeClock()
    client = HubSpotClient(
        access_token=TOKEN,
        base_url=url,
        api_version=api_version,
        clock=clock,
        pace=Pace(limit=limit, window_s=10.0, clock=clock, name="HubSpot"),
        patience=patience,
        timeout_s=timeout_s,
        deadline_s=deadline_s,
    )
    try:
        yield client
    finally:
        client.close()


def by_email(contact_id: int, address: str | None = None, **more: Any) -> Parcel:
    address = address or f"visitor{contact_id}@example.test"
    return Parcel(
        contact_id=contact_id,
        id_property="email",
        id_value=address,
        properties={"email": address, "country": "France", "zenovay_pageviews": "17"},
        fingerprint=b"f",
        **more,
    )


def by_visitor(contact_id: int, visitor_id: str | None = None, **more: Any) -> Parcel:
    visitor_id = visitor_id or f"v-{contact_id}"
    return Parcel(
        contact_id=contact_id,
        id_property="zenovay_visitor_id",
        id_value=visitor_id,
        properties={"zenovay_visitor_id": visitor_id, "country": "France"},
        fingerprint=b"f",
        **more,
    )


def result_for(entry: Mapping[str, Any], *, new: bool = True, trace: bool = True) -> dict[str, Any]:
    """What HubSpot says of an input that it took."""
    result = {
        "id": f"5{entry['objectWriteTraceId']}",
        "properties": {**entry["properties"], "hs_object_id": f"5{entry['objectWriteTraceId']}"},
        "createdAt": "2026-02-07T12:00:00Z",
        "updatedAt": "2026-02-07T12:00:00Z",
        "archived": False,
        "new": new,
    }
    return {**result, "objectWriteTraceId": entry["objectWriteTraceId"]} if trace else result


def error_for(
    trace: str, *, message: str = "Property values were not valid", category: str = "VALIDATION_ERROR"
) -> dict[str, Any]:
    """What HubSpot says of an input that it did not take."""
    return {
        "status": "error",
        "category": category,
        "message": message,
        "context": {"objectWriteTraceId": [trace]},
    }


def multi_status(results: list[Any], errors: list[Any] | None = None) -> Answer:
    body: dict[str, Any] = {"status": "COMPLETE", "results": results}
    if errors:
        body |= {"numErrors": len(errors), "errors": errors}
    return says(body, status=207 if errors else 200)


def definition_of(name: str) -> dict[str, Any]:
    """A property as `visitor-sync setup` makes it."""
    wanted = next(each for each in WANTED if each.name == name)
    return wanted.definition() | {
        "archived": False,
        "modificationMetadata": {"readOnlyValue": False},
    }


def all_is_well(asked: Asked) -> Answer:
    """Every property is right, and every contact is new and taken."""
    if asked.method == "GET":
        return says(definition_of(asked.path.rsplit("/", 1)[-1]))
    if asked.path == READ:
        return multi_status([], [{"category": "OBJECT_NOT_FOUND", "message": "not found"}])
    return multi_status([result_for(entry) for entry in asked.body["inputs"]])
