"""An account at its exchange that an operator wants set as configured: what to ask before, and who.

The wiring of `rebalancer set-modes`; a desk that runs has none of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rebalancer import live
from rebalancer.configured import desk_of
from rebalancer.errors import CommandRefused, InputRefused
from rebalancer.exchanges import nearest
from rebalancer.ports import Clock
from rebalancer.settings import Config, Mode
from rebalancer.store.looking import look_at_store
from rebalancer.venues.exchange_account import ExchangeAccount
from rebalancer.venues.exchange_checks import StartChecks, get_to_know
from rebalancer.venues.exchange_venue import facts_of
from rebalancer.venues.setting_modes import ModeSetter


@asynccontextmanager
async def mode_setter(config: Config, name: str, clock: Clock) -> AsyncIterator[ModeSetter]:
    """Yield what sets the account `name` at its venue.

    Raises InputRefused for an account that there is not, CommandRefused where the mode is not live
    or a desk runs, ConfigRefused where the account is not ready to be traded, VenueUnavailable.
    """
    _refuse_unfit(config, name)
    known, facts = config.accounts[name], facts_of(config.accounts[name].venue)
    limiters = live.limiters_of(config)
    desk = desk_of(config, await live.venue_contracts(config, limiters, config.funds))
    contracts = live.contracts_of(desk, name)
    if not contracts:
        raise InputRefused(f"accounts.{name}: no fund is on it, so it has no contracts to set")
    client = live.writer_of(config, name, limiters[known.venue])
    try:
        await get_to_know(client, facts, contracts, clock)
        account = ExchangeAccount(known, client, facts, contracts, clock)
        checks = StartChecks(known, facts, account, live.expected_of(config, name))
        yield ModeSetter(client, facts, account, checks)
    finally:
        await client.close()


def _refuse_unfit(config: Config, name: str) -> None:
    if name not in config.accounts:
        raise InputRefused(f"there is no account {name!r}{nearest(name, config.accounts)}")
    if config.mode is not Mode.LIVE:
        raise CommandRefused(
            f"the mode is {config.mode}, in which nothing is written to a venue; "
            'set mode to "live" first'
        )
    live.refuse_unready(config)
    holder = look_at_store(config.store_url).holder
    if holder is not None:
        raise CommandRefused(
            f"a desk (pid {holder}) runs on the store and may trade meanwhile; stop it first"
        )
