"""The two documents that describe the interface to programs.

`python -m rebalancer.api.specs docs` writes openapi.json and asyncapi.json; a test holds them equal
to what the program does.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rebalancer import __version__
from rebalancer.api.app import create_app
from rebalancer.api.board import Board
from rebalancer.api.desk import DeskDoor
from rebalancer.api.messages import (
    ALL_NAVS,
    EVENTS,
    KLINE_SUFFIX,
    NAV_SUFFIX,
    DeskEvent,
    Dropped,
    Heartbeat,
    Hello,
    NavKline,
    StreamMessage,
    TokenNav,
)
from rebalancer.api.streams import COMBINED_PATH, RAW_PREFIX, SSE_PATH
from rebalancer.clock import VirtualClock
from rebalancer.desk.control import CommandDoor
from rebalancer.desk.inbox import Inbox
from rebalancer.settings import schema

ASYNCAPI_VERSION = "3.1.0"
#: what each stream carries
STREAM_MODELS: dict[str, type[StreamMessage]] = {
    "tokenNav": TokenNav,
    "navKline": NavKline,
    "deskEvent": DeskEvent,
}
#: what only server-sent events carry besides
SSE_MODELS: dict[str, type[StreamMessage]] = {
    "hello": Hello,
    "heartbeat": Heartbeat,
    "dropped": Dropped,
}


def openapi() -> dict[str, Any]:
    """Return the OpenAPI document of the operators' listener."""
    nothing: Any = None  # no route is called to describe it
    desk = DeskDoor(
        mode="paper",
        board=Board(()),
        clock=VirtualClock(),
        wall=VirtualClock(),
        commands=CommandDoor(Inbox(), VirtualClock()),
        store=nothing,
        names=frozenset(),
        ready=lambda: False,
        started_ms=0,
    )
    return create_app(desk, public=False, metrics=lambda: b"").openapi()


def asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI document of the streams."""
    messages = {
        name: {
            "name": name,
            "contentType": "application/json",
            "summary": _summary(model),
            "payload": model.model_json_schema(
                ref_template=f"{_MESSAGES}/{name}/payload/$defs/{{model}}"
            ),
        }
        for name, model in {**STREAM_MODELS, **SSE_MODELS}.items()
    }
    messages["tokenNavs"] = {
        "name": "tokenNavs",
        "contentType": "application/json",
        "summary": "Every token's NAV of one publication as one list.",
        "payload": {"type": "array", "items": {"$ref": f"{_MESSAGES}/tokenNav/payload"}},
    }
    return {
        "asyncapi": ASYNCAPI_VERSION,
        "info": {"title": "rebalancer streams", "version": __version__, "description": _WORDS},
        "defaultContentType": "application/json",
        "channels": {
            "tokenNav": _channel(f"{RAW_PREFIX}{{token}}{NAV_SUFFIX}", ["tokenNav"]),
            "navKline": _channel(f"{RAW_PREFIX}{{token}}{KLINE_SUFFIX}", ["navKline"]),
            "allNavs": _channel(f"{RAW_PREFIX}{ALL_NAVS}", ["tokenNavs"]),
            "events": _channel(f"{RAW_PREFIX}{EVENTS}", ["deskEvent"]),
            "combined": _channel(COMBINED_PATH, [*STREAM_MODELS, "tokenNavs"]),
            "serverSentEvents": _channel(SSE_PATH, [*STREAM_MODELS, *SSE_MODELS, "tokenNavs"]),
        },
        "operations": {
            name: {"action": "send", "channel": {"$ref": f"#/channels/{name}"}}
            for name in (
                "tokenNav",
                "navKline",
                "allNavs",
                "events",
                "combined",
                "serverSentEvents",
            )
        },
        "components": {"messages": messages},
    }


_MESSAGES = "#/components/messages"
_WORDS = f"""\
One WebSocket message is one JSON document. {RAW_PREFIX}NAME carries one stream as it is; \
{COMBINED_PATH}?streams=A/B carries several, each message as {{"stream": NAME, "data": ...}}; \
{SSE_PATH}?streams=A/B the same as server-sent events. The first messages are the latest state of \
each stream asked for. `u` numbers the messages of the desk and only grows, over restarts too. To \
resume, pass the last number as lastId (a page's EventSource sends Last-Event-ID by itself): \
every event since then follows, as long as the desk still has it; `hello.resumed` says so. A newer \
state may replace an older one that was not sent yet; events are never left out, and a reader that \
cannot take them is let go with the reason (close code 1008). WebSockets are pinged every 15 s, \
server-sent events have a heartbeat."""


def _summary(model: type[StreamMessage]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]


def _channel(address: str, messages: list[str]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "address": address,
        "messages": {name: {"$ref": f"{_MESSAGES}/{name}"} for name in messages},
    }
    if "{token}" in address:
        made["parameters"] = {"token": {"description": "name of a token, as BTC3L"}}
    return made


def written(document: dict[str, Any]) -> str:
    """Return a document as it stands in its file."""
    return json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def main(arguments: list[str]) -> None:
    """Write the documents into the folder that is named, and the schema of the configuration."""
    folder = Path(arguments[0])
    (folder / "openapi.json").write_text(written(openapi()), encoding="utf-8")
    (folder / "asyncapi.json").write_text(written(asyncapi()), encoding="utf-8")
    (folder / "config.schema.json").write_text(schema.document(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
