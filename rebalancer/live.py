"""What trading on exchanges needs of the configuration: venues of the table, keys, expectations.

The settings know no venue and the venues no settings; this is where the two meet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rebalancer.core.fund import Account
from rebalancer.errors import ConfigRefused
from rebalancer.exchanges import nearest
from rebalancer.settings import AccountSettings, Config, Credentials, FeedSource, Mode
from rebalancer.settings.sources import environment_name
from rebalancer.venues.exchange_checks import Expected
from rebalancer.venues.facts import FACTS
from rebalancer.venues.facts_account import ACCOUNTS


def refuse_unready(config: Config) -> None:
    """Raise ConfigRefused, one line per problem, where live trading could not begin.

    Nothing is asked of a venue; a mode that is not live always passes.
    """
    if config.mode is not Mode.LIVE:
        return
    problems = [
        problem for account in config.accounts.values() for problem in _unready(config, account)
    ] or [*_other_prices(config)]
    if problems:
        raise ConfigRefused("\n".join(problems))


def keys_of(config: Config, account: str) -> dict[str, str]:
    """Return the keys of an account by ccxt's names, as far as the operator gave them."""
    given = config.secrets.get(account, Credentials())
    found = {}
    for ccxt_name, ours in _names_of_keys(config.accounts[account]).items():
        key = getattr(given, ours)
        if key is not None:
            found[ccxt_name] = key.get_secret_value()
    return found


def has_keys(config: Config, account: str) -> bool:
    """Whether every key is there that the account's venue asks for."""
    names = _names_of_keys(config.accounts[account])
    return bool(names) and len(keys_of(config, account)) == len(names)


def at_venue(config: Config, account: str) -> AccountSettings:
    """Return how the account is reached."""
    return config.at_venue.get(account, AccountSettings())


def expected_of(config: Config, account: str) -> Expected:
    """Return what the operator expects to find at the venue."""
    said = at_venue(config, account)
    return Expected(
        leverage=said.leverage,
        accept_key_rights=said.accept_key_rights,
        accept_untold=said.accept_untold,
    )


def _names_of_keys(account: Account) -> Mapping[str, str]:
    """Return our names of the keys by ccxt's; none for a venue that is not in the table."""
    return ACCOUNTS[account.venue].keys if account.venue in ACCOUNTS else {}


def _unready(config: Config, account: Account) -> Iterator[str]:
    """Yield what the account lacks to be traded."""
    where = f"accounts.{account.name}"
    if account.venue not in FACTS:
        yield (
            f"{where}.venue: {account.venue!r} cannot be traded on"
            f"{nearest(account.venue, FACTS)}; live trading knows {', '.join(FACTS)}"
        )
        return
    given = config.secrets.get(account.name, Credentials())
    for ours in _names_of_keys(account).values():
        if getattr(given, ours) is None:
            yield (
                f"{where}.{ours}: is missing, and live trading on {FACTS[account.venue].title} "
                f"needs it; set {environment_name(('accounts', account.name, ours))} or the "
                f"credential accounts__{account.name}__{ours}"
            )


def _other_prices(config: Config) -> Iterator[str]:
    """Yield why the prices would not be those of the venue that is traded on."""
    venues = list(dict.fromkeys(account.venue for account in config.accounts.values()))
    if config.feed.source is not FeedSource.CCXT:
        yield (
            f"feed.source: {config.feed.source} prices are not those of {venues[0]}, which live "
            'trading needs; set it to "ccxt" or take it away'
        )
    elif len(venues) > 1:
        yield (
            f"accounts: this version trades on one venue at a time, these are on "
            f"{' and '.join(venues)}; run a desk with a store of its own for each"
        )
    elif config.feed.venue not in venues:
        yield (
            f"feed.venue: live trading on {venues[0]} needs the prices of {venues[0]}, not of "
            f"{config.feed.venue}; take it away"
        )
