"""A server on loopback that says what a venue would say of a scene, over HTTP and WebSocket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from tests.spoken.scene import Scene

#: seconds between two tellings of the same prices
BEAT_S = 0.02
HTML = "<html><body><h1>503 Service Unavailable</h1></body></html>"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of HTTP."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any


Speak = Callable[[Scene, Asked], Any]
"""Returns the document that answers a request."""
Refuse = Callable[[Scene, Asked], tuple[int, Any] | None]
"""Returns status and document for keys that are not taken; None for a public request."""
Tell = Callable[[Scene, Any], Sequence[Any]]
"""Returns frames for what was subscribed to; sent again and again, as prices move."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tongue:
    """How one venue speaks."""

    #: by path
    routes: Mapping[str, Speak]
    refuse: Refuse
    #: frames that are sent at once when a socket opens
    welcome: Sequence[Any] = ()
    #: the frame that answers a subscription; None where the venue says nothing
    accept: Callable[[Any], Any] = lambda _said: None
    tell: Tell = lambda _scene, _said: ()


@dataclass
class Spoken:
    """A venue under way."""

    scene: Scene
    tongue: Tongue
    endpoint: str = ""
    asked: list[Asked] = field(default_factory=list)
    #: what was said over sockets
    said: list[Any] = field(default_factory=list)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, or talk over a socket."""
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._talk(request)
        text = await request.text()
        body = json.loads(text) if text.startswith(("{", "[")) else text
        asked = Asked(request.method, request.path, request.query, body)
        self.asked.append(asked)
        if not self.scene.up:
            return web.Response(status=503, text=HTML, content_type="text/html")
        refusal = None if self.scene.takes_keys else self.tongue.refuse(self.scene, asked)
        if refusal is not None:
            return web.json_response(refusal[1], status=refusal[0])
        speak = self.tongue.routes.get(asked.path)
        if speak is None:
            return web.json_response({"unspoken": asked.path}, status=404)
        return web.json_response(_at(speak(self.scene, asked), self.endpoint))

    async def _talk(self, request: web.BaseRequest) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(timeout=0.2)
        await socket.prepare(request)
        for frame in self.tongue.welcome:
            await socket.send_json(frame)
        beats = []
        async for message in socket:
            if message.type is not WSMsgType.TEXT or not message.data.startswith("{"):
                continue
            said = json.loads(message.data)
            self.said.append(said)
            accepted = self.tongue.accept(said)
            if accepted is not None:
                await socket.send_json(accepted)
            beats.append(asyncio.create_task(self._beat(socket, said)))
        for beat in beats:
            beat.cancel()
        await asyncio.gather(*beats, return_exceptions=True)
        return socket

    async def _beat(self, socket: web.WebSocketResponse, said: Any) -> None:
        while self.scene.streams and not socket.closed:
            for frame in self.tongue.tell(self.scene, said):
                await socket.send_json(frame)
            await asyncio.sleep(BEAT_S)


def _at(document: Any, endpoint: str) -> Any:
    """Put our address where a venue names that of its sockets."""
    text = json.dumps(document)
    return json.loads(text.replace("wss://of-the-venue", endpoint.replace("http", "ws", 1)))


@asynccontextmanager
async def speaking(scene: Scene, tongue: Tongue) -> AsyncIterator[Spoken]:
    """Answer on a free port of this machine for as long as it is entered."""
    spoken = Spoken(scene, tongue)
    runner = web.ServerRunner(web.Server(spoken.answer, access_log=None), shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    spoken.endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield spoken
    finally:
        await runner.cleanup()
