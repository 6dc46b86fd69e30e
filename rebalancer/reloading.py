"""A reload: read the file, check it, compare it with what is in force, then hand it to the loop.

Whatever is wrong keeps the configuration in force, is told to the operator and changes nothing.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import structlog

from rebalancer import live
from rebalancer.core import engine
from rebalancer.core.actions import Alert, Severity
from rebalancer.core.configuration import ConfigurationChanged
from rebalancer.core.events import ConfigurationOffered
from rebalancer.core.fund import Fund
from rebalancer.core.money import ONE, ZERO, text, total
from rebalancer.core.records import IntentCreated, Record, TradingChanged, TradingState
from rebalancer.core.reloading import refuse_configuration
from rebalancer.core.state import DeskState
from rebalancer.core.trial import copy_of
from rebalancer.desk.inbox import Inbox
from rebalancer.errors import (
    BrokenInvariant,
    CommandRefused,
    ConfigRefused,
    OperatorMistake,
    VenueUnavailable,
)
from rebalancer.ports import Clock
from rebalancer.settings import Config, InForce, Mode
from rebalancer.settings.differences import Difference, Effect, differences

_log = structlog.get_logger(__name__)
#: so many characters of a digest confirm a reload
CONFIRM_CHARACTERS_MIN = 12


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a reload would do."""

    new: InForce
    differences: tuple[Difference, ...]
    #: why it needs a second word; empty where it needs none
    confirm: tuple[str, ...]
    #: target notional in quote currency by fund, signed: in force, and to come
    notional: dict[str, tuple[Decimal, Decimal]]

    def document(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "digest": self.new.config.digest,
            "differences": [
                {
                    "key": each.key,
                    "before": each.before,
                    "after": each.after,
                    "effect": str(each.effect),
                    "place": None if each.place is None else str(each.place),
                }
                for each in self.differences
            ],
            "confirm": list(self.confirm),
            "target_notional": {
                name: {"before": text(before), "after": text(after)}
                for name, (before, after) in self.notional.items()
                if before != after
            },
        }


@dataclass(slots=True, kw_only=True)
class Reloader:
    """Reads the operator's file anew for a running desk; one reload at a time."""

    read: Callable[[], InForce]
    in_force: InForce
    state: DeskState
    inbox: Inbox
    clock: Clock
    tell: Callable[[Alert], None]
    _turn: asyncio.Lock = dataclasses.field(default_factory=asyncio.Lock)

    async def reload(self, confirm: str = "", *, check: bool = False) -> dict[str, Any]:
        """Take the file over and say what that led to; `check` only says what it would.

        Raises CommandRefused where anything is wrong: then nothing changed.
        """
        async with self._turn:
            try:
                found = await self._compare()
                if check:
                    return found.document()
                return await self._take_over(found, confirm)
            except (OperatorMistake, VenueUnavailable) as refused:
                reason = str(refused)
            except Exception as error:  # noqa: BLE001 - whatever it was, the desk goes on
                _log.exception("reload_failed")
                reason = f"{type(error).__name__} while reading the configuration"
            if not check:
                text_ = f"the configuration in force stays: {reason}"
                now_ms = self.clock.now_ms()
                self.tell(Alert(now_ms, Severity.WARNING, "reload_refused", "desk", text_))
            raise CommandRefused(reason)

    async def _compare(self) -> Comparison:
        old = self.in_force
        new = await asyncio.to_thread(self.read)
        secrets = [*_secrets(old.config, new.config)]
        if new.config.digest == old.config.digest and not secrets:
            return Comparison(new, (), (), {})
        found = differences(old.settings, new.settings)
        problems = [*_fixed_settings(found, new), *secrets]
        problems += _other_days(old.config, new.config, found)
        problems += _new_funds(old.config, new.config, new.document)
        if problems:
            raise ConfigRefused("\n".join(problems))
        refuse_configuration(self.state, self._offer(new, found))
        live.refuse_unready(new.config)
        launched = [name for name, fund in self.state.funds.items() if fund.launched_ms is not None]
        await live.venue_contracts(new.config, live.limiters_of(new.config), launched)
        notional = {
            name: (_notional(self.state, old, name), _notional(self.state, new, name))
            for name in new.config.funds
        }
        return Comparison(new, found, tuple(self._beyond(new.config)), notional)

    def _offer(self, new: InForce, found: tuple[Difference, ...]) -> ConfigurationOffered:
        return ConfigurationOffered(
            at_ms=self.clock.now_ms(),
            before=self.in_force.config.digest,
            digest=new.config.digest,
            funds=new.config.funds,
            at_point=frozenset(each.path[1] for each in found if each.effect is Effect.POINT),
            differences=tuple(str(each) for each in found),
        )

    async def _take_over(self, found: Comparison, confirm: str) -> dict[str, Any]:
        new, told = found.new, found.document()
        digest = new.config.digest
        if digest == self.in_force.config.digest:
            self.in_force = new
            return told | {"changed": False, "waiting": []}
        confirmed = len(confirm) >= CONFIRM_CHARACTERS_MIN and digest.startswith(confirm)
        if found.confirm and not confirmed:
            raise CommandRefused(
                f"{'; '.join(found.confirm)}; if that is meant: rebalancer reload --confirm "
                f"{digest[:CONFIRM_CHARACTERS_MIN]}"
            )
        offer = self._offer(new, found.differences)
        told["orders"] = _orders(_refuse_harm(self.state, offer))
        records = await asyncio.shield(asyncio.ensure_future(self._hand_over(new, offer)))
        changed = next(each for each in records if isinstance(each, ConfigurationChanged))
        _log.info(
            "configuration_changed",
            before=changed.before,
            digest=changed.digest,
            differences=list(changed.differences),
            waiting=list(changed.waiting),
        )
        return told | {"changed": True, "waiting": list(changed.waiting)}

    async def _hand_over(self, new: InForce, offer: ConfigurationOffered) -> tuple[Record, ...]:
        """Give the offer to the loop; once taken it is in force, whether anybody waits or not."""
        records = await self.inbox.command(offer)
        self.in_force = new
        return records

    def _beyond(self, new: Config) -> Iterator[str]:
        """Say which changes are larger than the configuration in force lets pass unasked."""
        old = self.in_force.config
        for name, fund in new.funds.items():
            before = old.funds.get(name)
            if before is None:
                continue
            change = abs(fund.target_leverage / before.target_leverage - ONE)
            if change > old.desk.confirm_leverage_change:
                yield (
                    f"funds.{name}.target_leverage goes from {before.target_leverage} to "
                    f"{fund.target_leverage}, by more than desk.confirm_leverage_change of "
                    f"{old.desk.confirm_leverage_change:f}"
                )
        held = total(_gross(self.state, fund) for fund in old.funds.values())
        moved = total(_moved(self.state, old.funds.get(n), f) for n, f in new.funds.items())
        share = moved / held if held else (ONE if moved else ZERO)
        if share > old.desk.confirm_notional_change:
            yield (
                f"the target notional of the desk moves by {moved:.2f}, {share * 100:.1f} % of "
                f"it, by more than desk.confirm_notional_change of "
                f"{old.desk.confirm_notional_change:f}"
            )


def _fixed_settings(found: tuple[Difference, ...], new: InForce) -> Iterator[str]:
    for each in found:
        if each.effect is Effect.RESTART:
            yield (
                f"{each.place or new.document}: {each.key}: cannot change while the desk runs "
                f"({each.before or 'unset'} is in force, {each.after or 'unset'} is written); "
                "restart the desk for it"
            )


def _secrets(old: Config, new: Config) -> Iterator[str]:
    """Find what differs and is no part of the digest."""
    if old.secrets != new.secrets:
        yield "accounts: a key changed; keys are read at a start only: restart the desk for it"
    if old.webhook_secrets != new.webhook_secrets:
        yield "webhooks: a secret changed; it is read at a start only: restart the desk for it"
    if old.alert_urls != new.alert_urls:
        yield "alerts: an address changed; it is read at a start only: restart the desk for it"


def _other_days(old: Config, new: Config, found: tuple[Difference, ...]) -> Iterator[str]:
    """Find what differs although no setting does: the days in a calendar's file."""
    told = {each.path[:2] for each in found}
    for name, fund in new.funds.items():
        before = old.funds.get(name)
        if before is not None and before != fund and ("funds", name) not in told:
            yield f"funds.{name}: what its calendars name has changed; restart the desk for it"


def _new_funds(old: Config, new: Config, document: str) -> Iterator[str]:
    """Find new funds that a running desk cannot take: it would not check or not show them."""
    added = [name for name in new.funds if name not in old.funds]
    listens = old.api.listen is not None or old.api.public_listen is not None
    for name in added:
        if old.mode is Mode.LIVE:
            yield (
                f"{document}: funds.{name}: a new fund in live mode needs a restart: a start "
                "checks that its account has the capital"
            )
        elif new.funds[name].premium is not None:
            yield f"{document}: funds.{name}.premium: is watched from a start on; restart the desk"
        elif listens:
            yield f"{document}: funds.{name}: a new fund needs a restart while [api] listens"


def _equity(state: DeskState, fund: Fund) -> Decimal:
    """Return what a fund is sized with: its equity, or what it will begin with."""
    standing = state.funds.get(fund.name)
    worth = None
    if standing is not None and standing.launched_ms is not None:
        worth = state.worth(standing)
    return fund.initial_nav * fund.initial_shares if worth is None else max(worth.equity, ZERO)


def _notional(state: DeskState, said: InForce, name: str) -> Decimal:
    fund = said.config.funds.get(name)
    return ZERO if fund is None else _equity(state, fund) * fund.target_leverage


def _gross(state: DeskState, fund: Fund) -> Decimal:
    return ZERO if fund.index_only else _equity(state, fund) * abs(fund.target_leverage)


def _moved(state: DeskState, before: Fund | None, after: Fund) -> Decimal:
    """Return the notional between the targets of before and after, contract by contract."""
    if after.index_only:
        return ZERO
    if before is None:
        return _gross(state, after)
    return _equity(state, after) * total(
        abs(
            after.basket.get(symbol, ZERO) * after.target_leverage
            - before.basket.get(symbol, ZERO) * before.target_leverage
        )
        for symbol in {*before.basket, *after.basket}
    )


def _refuse_harm(state: DeskState, offer: ConfigurationOffered) -> tuple[Record, ...]:
    """Try the change on a copy of the live state; refuse one that would halt a fund or break."""
    try:
        step = engine.step(copy_of(state), offer)
    except BrokenInvariant as broken:
        raise CommandRefused(f"the desk could not go on with it: {broken}") from None
    for record in step.records:
        if isinstance(record, TradingChanged) and record.state is TradingState.HALTED:
            raise CommandRefused(f"funds.{record.fund}: would be halted by it: {record.reason}")
    return step.records


def _orders(records: tuple[Record, ...]) -> list[str]:
    """Return the orders that the change leads to at once, one line each."""
    intents = (record.intent for record in records if isinstance(record, IntentCreated))
    return [
        f"{intent.account} {intent.side} {text(intent.contracts)} {intent.contract}"
        for intent in intents
    ]
