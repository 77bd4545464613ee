"""A Zenovay and a HubSpot on loopback, in a process of their own and as cheap as they can be.

``python -m tests.benchmarks.servers '{"rows": 1000}'`` prints its two ports as JSON, and then answers each
line of stdin, an order in JSON, by a line. The end of stdin ends it.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import orjson

from .rows import PLAIN, Rows

if TYPE_CHECKING:
    from collections.abc import Callable

_OPEN = b"HTTP/1.1 %d .\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n"
_PROPERTY_TYPES = {
    "zenovay_last_seen": "datetime",
    "zenovay_first_seen": "datetime",
    "zenovay_pageviews": "number",
    "zenovay_value_score": "number",
    "zenovay_engaged": "bool",
}


@dataclass(frozen=True, slots=True)
class World:
    """What the servers are like. ``latency_ms`` goes by before each answer; a limit of 0 is none.

    ``shape`` is PLAIN or MIXED.
    """

    rows: int
    latency_ms: float = 0.0
    zenovay_per_minute: int = 0
    hubspot_per_10_s: int = 0
    shape: str = PLAIN


@dataclass(slots=True)
class Side:
    """One API's limit, and what it has seen since it was last asked."""

    limit: int
    window_s: float
    requests: int = 0
    refused: int = 0
    _arrivals: deque[float] | None = None

    def wait_s(self) -> float:
        """Count a request. Returns the seconds to wait if it is one too many, else 0."""
        self.requests += 1
        if not self.limit:
            return 0.0
        now = time.monotonic()
        arrivals = self._arrivals = self._arrivals if self._arrivals is not None else deque()
        while arrivals and arrivals[0] + self.window_s <= now:
            arrivals.popleft()
        if len(arrivals) < self.limit:
            arrivals.append(now)
            return 0.0
        self.refused += 1
        return arrivals[0] + self.window_s - now

    def read(self) -> dict[str, int]:
        counts = {"requests": self.requests, "refused": self.refused}
        self.requests = self.refused = 0
        return counts


class Zenovay:
    """Serves pages of rows that were serialised before anybody asked."""

    def __init__(self, world: World) -> None:
        self.rows = Rows(world.rows, world.shape)
        self.side = Side(world.zenovay_per_minute, 60.0)

    def answer(self, _method: bytes, target: bytes, _body: bytes) -> bytes:
        if wait_s := self.side.wait_s():
            refusal = b'{"success":false,"error":{"code":"RATE_LIMIT_EXCEEDED","message":"Too many"}}'
            return _response(429, refusal, b"Retry-After: %d\r\n" % (int(wait_s) + 1))
        asked = {name: values[0] for name, values in parse_qs(urlsplit(target.decode()).query).items()}
        offset, limit = int(asked.get("offset", "0")), min(int(asked.get("limit", "100")), 1000)
        texts, more = self.rows.page(asked.get("range", "7d"), offset=offset, limit=limit)
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        body = (
            f'{{"success":true,"data":{{"visitors":[{",".join(texts)}],"pagination":{{"limit":{limit},'
            f'"offset":{offset},"has_more":{"true" if more else "false"}}}}},"timestamp":"{now}"}}'
        )
        return _response(200, body.encode())


class HubSpot:
    """Takes every input, and remembers which contacts it has, and the country of each."""

    def __init__(self, world: World) -> None:
        self.contacts: dict[str, int] = {}
        self.countries: dict[int, str] = {}
        self.side = Side(world.hubspot_per_10_s, 10.0)

    def answer(self, method: bytes, target: bytes, body: bytes) -> bytes:
        if self.side.wait_s():
            refusal = {
                "status": "error",
                "message": "You have reached your ten_secondly_rolling limit.",
                "errorType": "RATE_LIMIT",
                "policyName": "TEN_SECONDLY_ROLLING",
            }
            return _response(429, orjson.dumps(refusal))
        if method == b"GET":
            return _response(200, orjson.dumps(_property(target.decode().rpartition("/")[2])))
        asked = orjson.loads(body)
        if target.endswith(b"/batch/read"):
            return self._read(asked)
        results = [self._written(each) for each in asked["inputs"]]
        now = "2026-01-01T00:00:00Z"
        reply = {"status": "COMPLETE", "startedAt": now, "completedAt": now, "results": results}
        return _response(200, orjson.dumps(reply))

    def _read(self, asked: dict[str, Any]) -> bytes:
        by, ids = asked.get("idProperty"), [each["id"] for each in asked["inputs"]]
        numbers = {each: self.contacts.get(each) if by else int(each) for each in ids}
        results = [
            {
                "id": str(number),
                "properties": {by or "hs_object_id": each, "country": self.countries.get(number)},
            }
            for each, number in numbers.items()
            if number
        ]
        missing = [each for each, number in numbers.items() if not number]
        errors = [{"status": "error", "category": "OBJECT_NOT_FOUND", "context": {"ids": missing}}]
        reply = {"results": results, **({"errors": errors} if missing else {})}
        return _response(207 if missing else 200, orjson.dumps(reply))

    def _written(self, given: dict[str, Any]) -> dict[str, Any]:
        """An upsert by a property, or an update of what has the number."""
        known, by = len(self.contacts), given.get("idProperty")
        number = self.contacts.setdefault(given["id"], known + 1) if by else int(given["id"])
        if country := given["properties"].get("country"):
            self.countries[number] = country
        now = "2026-01-01T00:00:00Z"
        return {
            "id": str(number),
            "properties": {**given["properties"], **({by: given["id"]} if by else {})},
            "createdAt": now,
            "updatedAt": now,
            "archived": False,
            "new": number > known,
            "objectWriteTraceId": given.get("objectWriteTraceId"),
        }


def _property(name: str) -> dict[str, Any]:
    kind = _PROPERTY_TYPES.get(name, "string")
    choices = ("true", "false") if kind == "bool" else ()
    options = [{"label": value, "value": value} for value in choices]
    return {"name": name, "type": kind, "hasUniqueValue": True, "options": options}


def _response(status: int, body: bytes, headers: bytes = b"") -> bytes:
    return _OPEN % (status, len(body), headers) + body


class _Http(asyncio.Protocol):
    """As much of HTTP/1.1 as the clients of this benchmark speak."""

    def __init__(self, answer: Callable[[bytes, bytes, bytes], bytes], *, latency_s: float) -> None:
        self._answer = answer
        self._latency_s = latency_s
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._received[:end])
            after = end + 4 + _content_length(head)
            if len(self._received) < after:
                return
            body = bytes(self._received[end + 4 : after])
            del self._received[:after]
            method, target, _ = head.split(b" ", 2)
            self._reply(self._answer(method, target, body))

    def _reply(self, response: bytes) -> None:
        if self._latency_s:
            asyncio.get_running_loop().call_later(self._latency_s, self._transport.write, response)
        else:
            self._transport.write(response)


def _content_length(head: bytes) -> int:
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    return int(rest.split(b"\r\n", 1)[0]) if found else 0


class Servers:
    """Both APIs, and the orders that the benchmark gives them."""

    def __init__(self, world: World) -> None:
        self._zenovay = Zenovay(world)
        self._hubspot = HubSpot(world)
        self._latency_s = world.latency_ms / 1000
        self._cpu_s = time.process_time()

    async def start(self) -> dict[str, int]:
        """Returns the ports, by API."""
        loop = asyncio.get_running_loop()
        ports = {}
        for name, api in (("zenovay", self._zenovay), ("hubspot", self._hubspot)):

            def connection(answer: Callable[[bytes, bytes, bytes], bytes] = api.answer) -> _Http:
                return _Http(answer, latency_s=self._latency_s)

            server = await loop.create_server(connection, "127.0.0.1", 0)
            ports[name] = server.sockets[0].getsockname()[1]
        return ports

    def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """Do what ``order`` says; always returns the counts since the order before."""
        cpu_s, before = time.process_time(), self._cpu_s
        counts = {
            "zenovay": self._zenovay.side.read(),
            "hubspot": self._hubspot.side.read(),
            "contacts": len(self._hubspot.contacts),
            "cpu_s": cpu_s - before,
        }
        if order.get("forget"):
            self._zenovay.rows.forget()
        if order.get("new") or order.get("again"):
            self._zenovay.rows.arrive(new=order.get("new", 0), again=order.get("again", 0))
        self._cpu_s = time.process_time()
        return counts


async def _serve(world: World) -> None:
    servers = Servers(world)
    _say(await servers.start())
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(orders), sys.stdin
    )
    while line := await orders.readline():
        _say(servers.obey(orjson.loads(line)))


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(answer) + b"\n")
    sys.stdout.buffer.flush()


def order_for(world: World) -> str:
    """The argument that makes this module serve ``world``."""
    return orjson.dumps(asdict(world)).decode()


if __name__ == "__main__":
    asyncio.run(_serve(World(**orjson.loads(sys.argv[1]))))
