"""Value types of the configuration: what one setting may be, exactly, and how a refusal reads."""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, get_args
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, Strict

from rebalancer.core.instant import DAY_MS, parse_duration, parse_time_of_day, parse_utc_offset
from rebalancer.core.money import BPS, ONE, number, split_pro_rata
from rebalancer.errors import InputRefused

#: More digits than money ever has, few enough that products of two settings stay exact.
MAX_INTEGER_DIGITS = 24
MAX_DECIMALS = 30
_SMALLEST_WEIGHT = Decimal(10) ** -MAX_DECIMALS
MAX_DURATION_MS = 366 * DAY_MS
_MAX_DURATION_CHARACTERS = 32
_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")
_VENUE = re.compile(r"[a-z0-9_]+")
_MARKET = re.compile(r"[a-z0-9_]+:[!#-9;-\[\]-~]{1,32}/[!#-9;-\[\]-~]{1,32}")
_SYMBOL = re.compile(r"[!#-\[\]-~]{1,64}")
_WHOLE = re.compile(r"[0-9]{1,18}")
_PLAIN_NUMBER = re.compile(r"-?(?:[0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})")
_PERCENT, _PERCENT_BPS = Decimal("0.01"), Decimal(100)
_PORT = re.compile(r"[0-9]{1,5}")
_HOST = re.compile(r"[a-z0-9.-]{1,253}|\[[0-9a-f:.]{2,45}\]")
_STORE_SCHEMES = ("sqlite:///", "postgresql://", "postgres://", "postgresql+psycopg://")
_PASSWORD_OF_USER = re.compile(r"(?<=://)([^:/@]*):[^@]+(?=@)")
_PASSWORD_PARAMETER = re.compile(r"([?&])password=[^&]+")


class Untyped(str):
    """Text from the environment or a credential, which cannot leave the quotes away."""

    __slots__ = ()


def _read(parse: Callable[[Any, str], Any], value: object) -> Any:
    """Call a parser of the core; its refusal becomes the ValueError that pydantic collects."""
    try:
        return parse(value, "value")
    except InputRefused as refused:
        raise ValueError(str(refused).removeprefix("value: ")) from None


def _written_here(value: object) -> str:
    """Say how a number is written that people write otherwise; "" where that would be a guess."""
    if not isinstance(value, str):
        return ""
    if "," in value:
        return "; write no comma"
    percent = value.strip().removesuffix("%").strip()
    if not _PLAIN_NUMBER.fullmatch(percent):
        return ""
    share, bps = (f"{(Decimal(percent) * each).normalize():f}" for each in (_PERCENT, _PERCENT_BPS))
    return f"; {percent} % is written {share}, or {bps} in a setting in basis points (_bps)"


def _number(value: object) -> Decimal:
    if isinstance(value, Decimal) and not value.is_finite():
        raise ValueError(f"{value} is not a finite number")
    try:
        result: Decimal = _read(number, value)
    except ValueError as refused:
        raise ValueError(f"{refused}{_written_here(value)}") from None
    exponent = result.as_tuple().exponent
    if result.adjusted() >= MAX_INTEGER_DIGITS or int(exponent) < -MAX_DECIMALS:
        raise ValueError(
            f"the number has more than {MAX_INTEGER_DIGITS} digits before the point "
            f"or {MAX_DECIMALS} after it"
        )
    return result


def _within(
    low: Decimal | None, high: Decimal | None, *, above: bool = False
) -> Callable[[Decimal], Decimal]:
    def check(value: Decimal) -> Decimal:
        if low is not None and (value <= low if above else value < low):
            raise ValueError(f"{value} must {'be above' if above else 'not be under'} {low}")
        if high is not None and value > high:
            raise ValueError(f"{value} must not be above {high}")
        return value

    return check


def _duration(value: object) -> int:
    if isinstance(value, str) and len(value) > _MAX_DURATION_CHARACTERS:
        raise ValueError("is too long for a duration; write 6h, 90s, 1d12h or 250ms")
    length_ms: int = _read(parse_duration, value)
    if length_ms > MAX_DURATION_MS:
        raise ValueError(f"{value!r} is longer than a year")
    return length_ms


def _above_zero_ms(length_ms: int) -> int:
    if length_ms <= 0:
        raise ValueError("must be longer than zero")
    return length_ms


def _time_of_day(value: object) -> int:
    # TOML has times of its own: 10:30:00 without quotes.
    plain = value.isoformat() if isinstance(value, dt.time) else value
    return int(_read(parse_time_of_day, plain))


def _utc_offset(value: object) -> int:
    return int(_read(parse_utc_offset, value))


def _pair(value: object) -> object:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise ValueError("must be a list of two numbers, [low, high]")
    return value


def _flag(value: object) -> object:
    if isinstance(value, Untyped):
        return {"true": True, "false": False}.get(value.strip().lower(), value)
    return value


def _whole(value: object) -> object:
    if isinstance(value, Untyped) and _WHOLE.fullmatch(value.strip()):
        return int(value)
    return value


def _basket(value: object) -> object:
    """Give the members of a plain list equal weights, which sum to 1 to the last digit."""
    if not isinstance(value, (list, tuple)) or not all(isinstance(each, str) for each in value):
        return value
    members = [str(each) for each in value]
    if len(set(members)) != len(members):
        raise ValueError("a member stands twice")
    if not members:
        return {}
    return split_pro_rata(ONE, dict.fromkeys(members, ONE), step=_SMALLEST_WEIGHT)


def _matching(pattern: re.Pattern[str], rule: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(f"{value!r} {rule}")
        return value

    return check


def _store_url(value: str) -> str:
    if not value.startswith(_STORE_SCHEMES):
        raise ValueError("must start with sqlite:/// or postgresql://")
    named = sqlite_file(value)
    if named is not None and (named.name in ("", ":memory:") or "?" in value):
        raise ValueError("must name a file: sqlite:///relative.db or sqlite:////absolute.db")
    return value


def _endpoint(value: str) -> str:
    if not value:
        return value
    remedy = "write scheme, host and port and nothing else, such as http://127.0.0.1:8080"
    try:
        parts = urlsplit(value)
        origin, host = _origin(parts), parts.hostname
    except ValueError:
        raise ValueError(f"{value!r} is not a URL; {remedy}") from None
    if parts.scheme not in ("http", "https") or not host or value != origin:
        raise ValueError(f"{value!r}: {remedy}")
    if not _is_this_machine(host):
        raise ValueError(
            f"{host} is not this machine: signed requests go to the venue itself or to a simulator "
            "here, such as http://127.0.0.1:8080"
        )
    return value


def _origin(parts: SplitResult) -> str:
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    return f"{parts.scheme}://{host}" + ("" if parts.port is None else f":{parts.port}")


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _url(value: str) -> str:
    unusable = ValueError("must be an address such as https://host.example/path")
    try:
        parts = urlsplit(value)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise unusable from None
    if not host or port == 0 or " " in value or not value.isprintable():
        raise unusable
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_this_machine(host)):
        raise ValueError("must start with https://, unless it is of this machine")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user or a password")
    return value


def parse_address(value: str) -> tuple[str, int]:
    """Return host and port of "127.0.0.1:8765" or "[::1]:8765"; raises ValueError."""
    host, colon, port = value.rpartition(":")
    if colon and _PORT.fullmatch(port) and int(port) < 65_536:
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        try:
            # The name of the loopback is the one that needs no look-up.
            address = ipaddress.ip_address("127.0.0.1" if bare == "localhost" else bare)
        except ValueError:
            address = None
        if address is not None and (address.version == 4) == (bare == host):
            return str(address), int(port)
    raise ValueError(
        f"{value!r} is not an IP address with a port; write 127.0.0.1:8765 or [::1]:8765"
    )


def _listen_address(value: str) -> str:
    if value:
        parse_address(value)
    return value


def sqlite_file(url: str) -> Path | None:
    """Return the file that the URL of an SQLite store names; None for a server."""
    scheme, _, file = url.partition(":///")
    return Path(file) if scheme == "sqlite" else None


def has_password(url: str) -> bool:
    """Whether the URL of a store carries a password, in front of the host or as a parameter."""
    return without_password(url) != url


def without_password(url: str) -> str:
    """Return the URL of a store without its password, for showing and for the digest."""
    return _PASSWORD_PARAMETER.sub(r"\1", _PASSWORD_OF_USER.sub(r"\1", url))


def parser_of(*annotations: Any) -> Callable[..., Any] | None:
    """Return what reads the operator's words into a value of this type; None: nothing of ours."""
    for each in annotations:
        if isinstance(each, BeforeValidator):
            return each.func
        parser = parser_of(*get_args(each))
        if parser is not None:
            return parser
    return None


Number = Annotated[Decimal, BeforeValidator(_number)]
"""A finite exact decimal: a TOML number or a number in quotes."""
Positive = Annotated[Number, AfterValidator(_within(Decimal(0), None, above=True))]
NotNegative = Annotated[Number, AfterValidator(_within(Decimal(0), None))]
Share = Annotated[Number, AfterValidator(_within(Decimal(0), Decimal(1), above=True))]
Jitter = Annotated[Number, AfterValidator(_within(Decimal(0), Decimal(1)))]
Collar = Annotated[Number, AfterValidator(_within(Decimal(0), BPS, above=True))]
CostBps = Annotated[Number, AfterValidator(_within(Decimal(0), BPS))]
Pair = Annotated[tuple[NotNegative, NotNegative], BeforeValidator(_pair)]
Volatility = Annotated[Number, AfterValidator(_within(Decimal(0), Decimal(5)))]
Milliseconds = Annotated[int, BeforeValidator(_duration)]
"""A duration such as "6h", as milliseconds."""
SomeMilliseconds = Annotated[Milliseconds, AfterValidator(_above_zero_ms)]
TimeOfDay = Annotated[int, BeforeValidator(_time_of_day)]
UtcOffset = Annotated[int, BeforeValidator(_utc_offset)]
Flag = Annotated[bool, Strict(), BeforeValidator(_flag)]
Count = Annotated[int, Field(strict=True, ge=1, le=1_000_000), BeforeValidator(_whole)]
Seed = Annotated[int, Field(strict=True, ge=0, le=2**63 - 1), BeforeValidator(_whole)]
Days = Annotated[int, Field(strict=True, ge=0, le=366), BeforeValidator(_whole)]
Name = Annotated[
    str, AfterValidator(_matching(_NAME, "is not a name: 1 to 32 of A-Z, a-z, 0-9, _ and -"))
]
Venue = Annotated[
    str, AfterValidator(_matching(_VENUE, "is not a ccxt exchange id, which is in lower case"))
]
Symbol = Annotated[
    str, AfterValidator(_matching(_SYMBOL, "is not a contract; write BTC/USDT:USDT"))
]
Market = Annotated[
    str,
    AfterValidator(
        _matching(_MARKET, "is not a spot market; write venue and symbol, gate:BTC3L/USDT")
    ),
]
"""A ccxt exchange id and a spot symbol of that exchange."""
Url = Annotated[str, AfterValidator(_url)]
Basket = Annotated[dict[Symbol, Positive], BeforeValidator(_basket)]
"""Weight by contract; a list of contracts has equal weights."""
StoreUrl = Annotated[str, AfterValidator(_store_url)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
"""Scheme, host and port of a server on this machine in the place of a venue; "" is none."""
ListenAddress = Annotated[str, AfterValidator(_listen_address)]
HostName = Annotated[
    str,
    AfterValidator(
        _matching(_HOST, "is not a host name; write nav.example.org, in lower case, no port")
    ),
]
Text = Annotated[str, Field(max_length=10_000)]
PathText = Annotated[str, Field(min_length=1, max_length=4_096)]
Secret = Annotated[SecretStr, Field(min_length=1, max_length=65_536)]
