"""What an examination finds, and how each number it sees is judged. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from rebalancer.core.contract import Contract
from rebalancer.core.fund import Fund
from rebalancer.core.money import trunc_to_step
from rebalancer.venues.rates import Window

#: a venue's clock may differ so much before it is worth a word; the desk corrects for it
CLOCK_AHEAD_MS = 500
#: a smallest order above this share of what a fund holds of a contract leaves it off its target
COARSE_SHARE = Decimal("0.01")
#: free space under which a desk should not be started, and under which it is worth a word
DISK_BYTES_MIN = 100 * 2**20
DISK_BYTES_LOW = 2**30
#: so many contracts are named in one line
NAMED_MAX = 6


class Level(StrEnum):
    """How good something is."""

    OK = "ok"
    SKIP = "skip"  # does not apply, or could not be looked at
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of an examination."""

    level: Level
    #: the part of the desk: here, accounts.NAME or a venue
    where: str
    check: str
    #: what was seen
    seen: str
    #: a command or a sentence that would put it right; "" where nothing is wrong
    fix: str = ""

    def document(self) -> dict[str, str | None]:
        """Return the line for a program."""
        return {
            "level": str(self.level),
            "where": self.where,
            "check": self.check,
            "seen": self.seen,
            "fix": self.fix or None,
        }


def count_by_level(findings: Iterable[Finding]) -> dict[Level, int]:
    """Return how many there are of each level."""
    levels = [finding.level for finding in findings]
    return {level: levels.count(level) for level in Level}


def named(names: Sequence[str]) -> str:
    """Return the names, the first few of them where there are many."""
    more = len(names) - NAMED_MAX
    return ", ".join(names[:NAMED_MAX]) + (f" and {more} more" if more > 0 else "")


def judge_clock(where: str, ahead_ms: int, uncertain_ms: int, most_ms: int) -> Finding:
    """Judge how far a venue's clock is ahead; beyond `most_ms` the desk would not start."""
    side = "ahead of" if ahead_ms >= 0 else "behind"
    off = f"{abs(ahead_ms)} ms {side} ours, give or take {max(1, uncertain_ms)} ms"
    seen = f"the venue's clock is {off}"
    fix = "synchronise this machine's clock: timedatectl set-ntp true"
    beyond = abs(ahead_ms) - uncertain_ms
    if beyond > most_ms:
        return Finding(Level.FAIL, where, "clock", f"{seen}; the desk would not start", fix)
    if beyond > CLOCK_AHEAD_MS:
        return Finding(Level.WARN, where, "clock", f"{seen}; the desk corrects for it", fix)
    return Finding(Level.OK, where, "clock", seen)


def judge_disk(free_bytes: int, place: str) -> Finding:
    """Judge the space that is left for the store."""
    seen = f"{free_bytes / 2**30:,.1f} GiB free at {place}"
    fix = "free some space, or move the store: store.url"
    if free_bytes < DISK_BYTES_MIN:
        return Finding(Level.FAIL, "here", "disk", seen, fix)
    if free_bytes < DISK_BYTES_LOW:
        return Finding(Level.WARN, "here", "disk", seen, fix)
    return Finding(Level.OK, "here", "disk", seen)


@dataclass(frozen=True, slots=True)
class Coarseness:
    """How fine a fund can be steered in one of its contracts."""

    fund: str
    contract: str
    #: the smallest order and what the fund holds at its target, in quote currency
    smallest: Decimal
    exposure: Decimal

    @property
    def share(self) -> Decimal:
        """The smallest order as a share of the exposure."""
        return self.smallest / self.exposure


def coarseness(
    fund: Fund, equity: Decimal, contracts: Mapping[str, Contract], marks: Mapping[str, Decimal]
) -> list[Coarseness]:
    """Compare each contract's smallest order with the fund's exposure |L| E w at its target."""
    found = []
    for symbol, weight in fund.basket.items():
        if symbol not in contracts or symbol not in marks:
            continue
        contract, mark = contracts[symbol], marks[symbol]
        least = max(contract.lot, trunc_to_step(contract.min_amount, contract.lot))
        if least < contract.min_amount:
            least += contract.lot
        least_notional = max(contract.min_notional, fund.execution.min_notional)
        smallest = max(contract.units_in(least) * mark, least_notional)
        exposure = abs(fund.target_leverage) * equity * weight
        if exposure > 0:
            found.append(Coarseness(fund.name, symbol, smallest, exposure))
    return found


def judge_sizes(where: str, sizes: Sequence[Coarseness]) -> list[Finding]:
    """Judge the smallest orders: one line for all that are fine, one for each that is not."""
    coarse = [each for each in sizes if each.share > COARSE_SHARE]
    findings = []
    for each in coarse:
        never = each.smallest > each.exposure
        seen = (
            f"{each.fund}: the smallest order of {each.contract} is {each.smallest:,.2f}, "
            f"{each.share:.1%} of its exposure of {each.exposure:,.2f}"
        )
        effect = "it could not trade at all" if never else "it stays that far off its target"
        fix = f"give {each.fund} more capital, or a contract with smaller orders"
        level = Level.FAIL if never else Level.WARN
        findings.append(Finding(level, where, "sizes", f"{seen}; {effect}", fix))
    fine = [each for each in sizes if each.share <= COARSE_SHARE]
    if fine:
        most = max(fine, key=lambda each: each.share)
        seen = (
            f"the smallest orders are at most {most.share:.3%} of an exposure "
            f"({most.fund}, {most.contract})"
        )
        findings.insert(0, Finding(Level.OK, where, "sizes", seen))
    return findings


def judge_budget(where: str, used: Mapping[Window, int]) -> Finding:
    """Judge what is used up of each window of requests, by our count and the venue's own."""
    seen = ", ".join(
        f"{window.name} {units:,} of {window.limit:,}" for window, units in used.items()
    )
    full = [window for window, units in used.items() if units > window.limit - window.reserve]
    if full:
        names = " and ".join(window.name for window in full)
        return Finding(
            Level.WARN,
            where,
            "rate budget",
            f"used: {seen}; what is left of {names} is for orders only",
            "look what else asks with this key or from this address, and stop it",
        )
    return Finding(Level.OK, where, "rate budget", f"used: {seen}")
