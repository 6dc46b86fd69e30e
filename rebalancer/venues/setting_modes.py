"""Sets an account's modes and leverage as configured, for an operator who says so.

Nothing is set while anything is held or stands open: a switch of mode or margin under a position
can liquidate it. Each request leaves once; what it led to, the account itself is asked.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from rebalancer.core.money import counted
from rebalancer.errors import CommandRefused, VenueUnavailable
from rebalancer.venues.ccxt_client import CcxtClient
from rebalancer.venues.exchange_account import ExchangeAccount
from rebalancer.venues.exchange_checks import StartChecks
from rebalancer.venues.exchange_settings import Change
from rebalancer.venues.facts_shape import Ask, VenueFacts

#: contracts that are named in a refusal
NAMED_MOST = 3


@dataclass(frozen=True, slots=True)
class Carried:
    """What became of one change."""

    change: Change
    #: why it was not made, in the venue's words; "" where the venue took it
    refusal: str


@dataclass(frozen=True, slots=True)
class Seen:
    """How an account is set."""

    #: what would set it as configured, also where the venue does not tell what it is
    changes: tuple[Change, ...]
    #: every setting that is not as configured, in a sentence each
    differing: tuple[str, ...]


class ModeSetter:
    """Sets one account at its venue; the markets must be loaded and the clock measured."""

    def __init__(
        self, client: CcxtClient, facts: VenueFacts, account: ExchangeAccount, checks: StartChecks
    ) -> None:
        self._client = client
        self._facts = facts
        self._account = account
        self._checks = checks

    async def look(self) -> Seen:
        """Ask how the account is set. Raises VenueUnavailable."""
        checked = [await check() for check in self._checks.settings.values()]
        changes = list[Change]()
        for each in checked:
            # Margin mode and leverage may be one setting of a venue.
            changes += [change for change in each.changes if change not in changes]
        differing = tuple(f"{each.seen}: {each.remedy}" for each in checked if each.refused)
        return Seen(tuple(changes), differing)

    async def carry_out(self, changes: Iterable[Change]) -> AsyncIterator[Carried]:
        """Make each change once; a refusal of one does not stop the others.

        Raises CommandRefused before the first where anything is held on the account, or an order
        stands open on one of its contracts; VenueUnavailable where the venue does not tell.
        """
        await self._refuse_held()
        cost = self._facts.limits.costs[Ask.SETTINGS]
        for change in changes:
            refusal = ""
            for call in change.calls:
                try:
                    await self._client.change(call.carry_out, cost)
                except VenueUnavailable as refused:
                    refusal = str(refused)
            yield Carried(change, refusal)

    async def _refuse_held(self) -> None:
        title = self._facts.title
        if held := sorted(await self._account.held_anywhere()):
            shown = ", ".join(held[:NAMED_MOST]) + (", ..." if len(held) > NAMED_MOST else "")
            raise CommandRefused(
                f"{counted(len(held), 'contract')} held at {title} ({shown}), and no mode is "
                "changed under a position; nothing was changed: flatten the account first"
            )
        for symbol in self._account.contracts:
            if orders := await self._account.open_orders(symbol):
                raise CommandRefused(
                    f"{counted(len(orders), 'order')} of {symbol} open at {title}, and no mode is "
                    "changed under an order; nothing was changed: cancel there first"
                )
