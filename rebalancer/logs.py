"""Logging: one shape for the whole program, console on a terminal and JSON otherwise.

Decimals are written as decimals, NaN never, and nothing that looks like a credential.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from decimal import Decimal
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

#: header and query names under which venues carry keys and signatures
_SECRETS = re.compile(
    r"(?i)((?:api[-_]?key|secret|signature|passphrase|password|x-[a-z-]*(?:apikey|sign)[a-z-]*|"
    r"ok-access-[a-z]+|validate-[a-z]+)[\"']?\s*[=:]\s*[\"']?)[^\s\"'&,}]+"
)


def configure(*, level: str = "info", style: str = "auto", stream: TextIO | None = None) -> None:
    """Set up structlog and the standard library's logging once, for the whole process.

    `style` is auto, console or json. ccxt is kept at warnings: below, it writes keys.
    """
    stream = stream or sys.stderr
    console = style == "console" or (style == "auto" and stream.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        write_decimals,
        hide_secrets,
    ]
    renderer: Processor = structlog.dev.ConsoleRenderer(colors=stream.isatty())
    if not console:
        renderer = structlog.processors.JSONRenderer(serializer=_to_json)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in ("ccxt", "apscheduler", "asyncio", "alembic", "sqlalchemy"):
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def write_decimals(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Write every decimal as plain digits, at any depth."""
    return {key: _plain(value) for key, value in event.items()}


def hide_secrets(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Black out the value behind anything that is named like a credential."""
    return {
        key: _SECRETS.sub(r"\1[hidden]", value) if isinstance(value, str) else value
        for key, value in event.items()
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


def _to_json(event: EventDict, **_options: Any) -> str:
    return json.dumps(event, default=str, allow_nan=False, ensure_ascii=False)
