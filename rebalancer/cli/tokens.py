"""Commands for the bearer tokens of the HTTP interface; they need no running desk."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from rebalancer.cli.exits import told
from rebalancer.cli.options import AsJson, ConfigPath, load_config
from rebalancer.cli.output import console, moment, note, print_json, table, when
from rebalancer.clock import WallClock
from rebalancer.core.instant import parse_duration


class ScopeName(StrEnum):
    """What a token lets its holder do; each includes the ones before it."""

    READ = "read"
    OPERATE = "operate"
    ADMIN = "admin"


Name = Annotated[str, typer.Argument(help="Name of the token.", show_default=False)]


@told
def create(
    name: Name,
    scope: Annotated[ScopeName, typer.Option(help="What it allows.")] = ScopeName.READ,
    expires: Annotated[
        str, typer.Option("--expires", help="How long it is valid: 90d, 12h, or never.")
    ] = "90d",
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Make a token and print it: once, only its hash is kept."""
    from rebalancer.api import tokens  # noqa: PLC0415 - not needed to print --help

    length_ms = None if expires == "never" else parse_duration(expires, "--expires")
    path = load_config(config).api.tokens_file
    made = tokens.create(path, name, tokens.TokenScope(scope), WallClock().now_ms(), length_ms)
    if as_json:
        print_json({"name": name, "scope": str(scope), "token": made})
    else:
        ends = "never expires" if length_ms is None else f"expires in {expires}"
        note(f"{name}: scope {scope}, {ends}; it is not shown again:")
        typer.echo(made)


@told
def list_tokens(config: ConfigPath = None, as_json: AsJson = False) -> None:
    """List the tokens: name, scope, times and state, never the secret."""
    from rebalancer.api import tokens  # noqa: PLC0415 - not needed to print --help

    known = tokens.read_tokens(load_config(config).api.tokens_file)
    now_ms = WallClock().now_ms()
    if as_json:
        print_json(
            [
                {
                    "id": token.id,
                    "name": token.name,
                    "scope": str(token.scope),
                    "created": when(token.created_ms),
                    "expires": None if token.expires_ms is None else when(token.expires_ms),
                    "revoked": None if token.revoked_ms is None else when(token.revoked_ms),
                    "valid": token.valid_at(now_ms),
                }
                for token in known
            ]
        )
        return
    rows = [
        [
            token.name,
            token.id,
            str(token.scope),
            moment(token.created_ms),
            "never" if token.expires_ms is None else moment(token.expires_ms),
            "revoked"
            if token.revoked_ms is not None
            else "valid"
            if token.valid_at(now_ms)
            else "expired",
        ]
        for token in known
    ]
    console().print(table("", ("name", "id", "scope", "created", "expires", ""), rows))


@told
def revoke(name: Name, config: ConfigPath = None, as_json: AsJson = False) -> None:
    """End a token, by name or id; a running desk refuses it from its next request on."""
    from rebalancer.api import tokens  # noqa: PLC0415 - not needed to print --help

    ended = tokens.revoke(load_config(config).api.tokens_file, name, WallClock().now_ms())
    if as_json:
        print_json({"id": ended.id, "name": ended.name, "revoked": when(ended.revoked_ms)})
    else:
        typer.echo(f"{ended.name}: revoked")
