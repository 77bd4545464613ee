"""The web server of the sandbox: uvicorn in a thread, stopped without waiting for anybody."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import BaseRoute, Mount, Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from etl.errors import SettingsError
from etl.sandbox.contacts_app import ContactEndpoints
from etl.sandbox.gate import Gate
from etl.sandbox.hubspot_app import HubSpotEndpoints
from etl.sandbox.page import sandbox_page
from etl.sandbox.site import FORM_PATH, SCRIPT_PATH, SiteEndpoints
from etl.sandbox.team_app import TeamEndpoints
from etl.sandbox.zenovay import PATH
from etl.sandbox.zenovay_app import ZenovayEndpoints

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from etl.sandbox.hubspot import HubSpotWorld
    from etl.sandbox.team import TeamWorld
    from etl.sandbox.zenovay import ZenovayWorld

HOST = "127.0.0.1"
TRANSPORT = "visitor_sync.transport"
"""The extension of a request's scope that holds its connection, for who has to mistreat it."""
_START_S = 10.0


def application(zenovay: ZenovayWorld, hubspot: HubSpotWorld, team: TeamWorld) -> Starlette:
    """Zenovay under its base path, HubSpot at the root, what they hold at ``/``, a form, the team."""

    async def page(_request: Request) -> HTMLResponse:
        return HTMLResponse(sandbox_page(hubspot.contacts, messages=team.messages, pings=team.pings))

    site = SiteEndpoints(zenovay, hubspot)
    pages = [
        Route("/", page),
        Route(FORM_PATH, Gate(hubspot, site.form, guarded=False), methods=["GET", "POST"]),
        Route(SCRIPT_PATH, Gate(zenovay, site.script, guarded=False), methods=["GET"]),
    ]
    sides = [*_zenovay_routes(zenovay), *_team_routes(team), *_hubspot_routes(hubspot)]
    return Starlette(routes=[*pages, *sides])


def _zenovay_routes(world: ZenovayWorld) -> list[BaseRoute]:
    ends = ZenovayEndpoints(world)
    keyed = [
        Route("/websites", Gate(world, ends.websites), methods=["GET"]),
        Route("/usage", Gate(world, ends.usage), methods=["GET"]),
        Route("/analytics/{website}", Gate(world, ends.analytics), methods=["GET"]),
        Route("/analytics/{website}/visitors", Gate(world, ends.visitors), methods=["GET"]),
        Route("/{rest:path}", Gate(world, ends.unknown)),
    ]
    public = [
        Route("/e/live/{tracking_code}", Gate(world, ends.live, guarded=False), methods=["GET"]),
        Route("/live/{tracking_code}", Gate(world, ends.older_live, guarded=False), methods=["GET"]),
    ]
    return [*public, Mount(PATH, routes=keyed)]


def _team_routes(world: TeamWorld) -> list[BaseRoute]:
    ends = TeamEndpoints(world)
    ping = Gate(world, ends.ping)
    return [
        Route("/slack/{rest:path}", Gate(world, ends.webhook), methods=["POST"]),
        Route("/ping/{check}", ping, methods=["GET", "POST"]),
        Route("/ping/{check}/{signal}", ping, methods=["GET", "POST"]),
        Route("/slack/{rest:path}", Gate(world, ends.unknown)),
        Route("/ping/{rest:path}", Gate(world, ends.unknown)),
    ]


def _hubspot_routes(world: HubSpotWorld) -> list[BaseRoute]:
    ends = HubSpotEndpoints(world)
    account = Gate(world, ends.account)
    routes: list[BaseRoute] = [Route("/account-info/{version}/details", account, methods=["GET"])]
    for objects in ("/crm/objects/{version}/contacts", "/crm/{version}/objects/contacts"):
        routes += _contact_routes(objects, world)
    for properties in ("/crm/properties/{version}/contacts", "/crm/{version}/properties/contacts"):
        routes.append(Route(properties, Gate(world, ends.properties), methods=["GET", "POST"]))
        routes.append(Route(f"{properties}/groups", Gate(world, ends.groups), methods=["GET", "POST"]))
        routes.append(Route(f"{properties}/{{name}}", Gate(world, ends.property), methods=["GET"]))
    return [*routes, Route("/{rest:path}", Gate(world, ends.unknown))]


def _contact_routes(objects: str, world: HubSpotWorld) -> list[BaseRoute]:
    ends = ContactEndpoints(world)
    posted = {
        "batch/upsert": ends.upsert,
        "batch/update": ends.update,
        "batch/read": ends.read,
        "batch/archive": ends.archive_batch,
        "search": ends.search,
        "merge": ends.merge,
        "gdpr-delete": ends.erase,
    }
    routes = [
        Route(f"{objects}/{path}", Gate(world, operation), methods=["POST"])
        for path, operation in posted.items()
    ]
    return [*routes, Route(f"{objects}/{{contact}}", Gate(world, ends.archive), methods=["DELETE"])]


class _Protocol(H11Protocol):
    """Hands the connection to the application, and cuts it where the answer is abandoned."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        answer: ASGIApp = self.app

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            scope["extensions"] = {TRANSPORT: transport}
            try:
                await answer(scope, receive, send)
            except asyncio.CancelledError:
                transport.abort()
                self.cycle.disconnected = True

        self.app = app


class _Server(uvicorn.Server):
    """Stops at once: connections are cut, requests in progress are abandoned."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """From any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)

    async def main_loop(self) -> None:
        await self.on_tick(0)
        self._loop = asyncio.get_running_loop()
        self.ready.set()
        await self._stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)
        for each in sockets or ():
            each.close()


class Loopback:
    """The application on a port of its own, from ``start`` to ``stop``."""

    def __init__(self, app: ASGIApp, *, port: int) -> None:
        self._socket = _listening(port)
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            app,
            http=_Protocol,
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            date_header=False,
        )
        self._server = _Server(config)
        self._thread = threading.Thread(target=self._serve, name="sandbox", daemon=True)

    def start(self) -> None:
        self._thread.start()
        if not self._server.ready.wait(_START_S):
            raise RuntimeError("The sandbox did not start.")

    def stop(self) -> None:
        self._server.stop()
        self._thread.join()

    def _serve(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._socket]))


def _listening(port: int) -> socket.socket:
    """A listening socket: who connects before the server runs waits instead of being refused.

    asyncio switches Nagle's algorithm off, which costs 40 ms an answer, only where the protocol is named.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except OSError as exc:
        listening.close()
        fix = "Choose another one with --port."
        raise SettingsError(f"Port {port} of {HOST} cannot be used: {exc.strerror}.", fix=fix) from exc
    listening.listen(128)
    listening.setblocking(False)  # noqa: FBT003  the name of the method says it
    return listening
