"""Logging: one shape for the whole program, console on a terminal and JSON otherwise.

Decimals are written as decimals, NaN never, and nothing that looks like a credential.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import sys
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, TextIO

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor, WrappedLogger

#: names under which keys and signatures travel, in headers, queries and our own fields
_NAMES = (
    r"(?:api[-_]?key|appkey|private[-_]?key|listen[-_]?key|access[-_]?token|secret|signature|"
    r"passphrase|password|authorization|x-[a-z-]*(?:apikey|sign)[a-z-]*|ok-access-[a-z]+|"
    r"validate-[a-z]+)"
)
_NAMED = re.compile(
    rf"(?i)({_NAMES}[\"']?\s*[=:]\s*[\"']?(?:(?:bearer|basic)\s+)?)[^\s\"'&,}}]+|"
    r"(://[^\s:/@]*:)[^\s/@]+(?=@)"
)
_NAME = re.compile(rf"(?i)(?:[a-z0-9]+[-_])*{_NAMES}")
_HIDDEN = "[hidden]"
#: syslog's number of each level of ours, from the gravest (sd-daemon(3))
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_DEBUG_PRIORITY = 7
#: libraries whose every word below a warning is noise, or a key
QUIET = ("ccxt", "apscheduler", "asyncio", "alembic", "sqlalchemy", "httpx", "httpcore")


class JournalFormatter(ProcessorFormatter):
    """Begins each line with its priority, which systemd's journal takes off and understands."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        found = (number for level, number in _PRIORITIES if record.levelno >= level)
        return f"<{next(found, _DEBUG_PRIORITY)}>{super().format(record)}"


def is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether `stream` leads to systemd's journal, as $JOURNAL_STREAM says (systemd.exec(5))."""
    try:
        seen = os.fstat(stream.fileno())
    except (OSError, ValueError):  # a buffer, or closed
        return False
    return environ.get("JOURNAL_STREAM") == f"{seen.st_dev}:{seen.st_ino}"


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
    formatter = JournalFormatter if is_journal(stream, os.environ) else ProcessorFormatter
    handler.setFormatter(
        formatter(
            foreign_pre_chain=shared,
            processors=[ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def write_decimals(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Write every decimal as plain digits, at any depth, and what has no form in words."""
    return {key: value if key.startswith("_") else _plain(value) for key, value in event.items()}


def hide_secrets(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Black out, at any depth, the value behind anything that is named like a credential."""
    return {key: _hidden(key, value) for key, value in event.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        digits = format(value, "f")
        return digits.rstrip("0").rstrip(".") if "." in digits else digits
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    if value is None or isinstance(value, str | int) or _is_number(value):
        return value
    return str(value)


def _is_number(value: object) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def _hidden(name: str, value: Any) -> Any:
    if _NAME.fullmatch(name) and value is not None:
        return _HIDDEN
    if isinstance(value, str):
        return _NAMED.sub(rf"\1\2{_HIDDEN}", value)
    if isinstance(value, dict):
        return {key: _hidden(str(key), each) for key, each in value.items()}
    if isinstance(value, list):
        return [_hidden("", each) for each in value]
    return value


def _to_json(event: EventDict, **_options: Any) -> str:
    return json.dumps(event, default=str, allow_nan=False, ensure_ascii=False)
