"""What differs between two configurations, and when each difference can come into force."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum

from rebalancer.settings.problems import Place
from rebalancer.settings.shape import dotted
from rebalancer.settings.showing import Setting
from rebalancer.settings.toml_lines import KeyPath


class Effect(StrEnum):
    """When a running desk can take a difference over."""

    NOW = "now"  # at once, or when the run under way is over
    POINT = "next point"  # when a rule next asks for a run
    RESTART = "restart only"
    GONE = "never"  # a fund is ended by a command, not by taking its lines away


#: Key pattern -> when. `*` is any one key, `**` at the end any number of them. The first pattern
#: that fits counts; what fits none needs a restart.
EFFECTS: tuple[tuple[str, Effect], ...] = (
    ("funds.*.target_leverage", Effect.POINT),
    ("funds.*.basket", Effect.POINT),
    ("funds.*.size_from", Effect.POINT),
    ("funds.*.formula_base", Effect.POINT),
    ("funds.*.cash_account.reference", Effect.RESTART),  # its source is asked from a start on
    ("funds.*.cash_account.**", Effect.POINT),
    ("funds.*.rules.reconstitution.**", Effect.RESTART),  # names contracts of days gone by
    ("funds.*.rules.**", Effect.NOW),
    ("funds.*.execution.**", Effect.NOW),
    ("funds.*.limits.**", Effect.NOW),
    ("funds.*.consolidation.**", Effect.NOW),
    ("funds.*.max_age", Effect.NOW),
    ("funds.*.gap_alarm_bps", Effect.NOW),
    ("funds.*.description", Effect.NOW),
    ("funds.*.risk_statement", Effect.NOW),
)


@dataclass(frozen=True, slots=True)
class Difference:
    """One setting, or one whole fund, that is not as it was."""

    path: KeyPath
    #: as TOML writes it; None: not set, or not there
    before: str | None
    after: str | None
    effect: Effect
    #: where the new value was written; None: it is the default now
    place: Place | None = None

    @property
    def key(self) -> str:
        """The key as TOML writes it."""
        return dotted(self.path)

    def __str__(self) -> str:
        before, after = self.before or "unset", self.after or "unset"
        return f"{self.key}: {before} -> {after} ({self.effect})"


def differences(before: Sequence[Setting], after: Sequence[Setting]) -> tuple[Difference, ...]:
    """Return every difference, in the order of the new document, then what is gone."""
    old = {setting.path: setting for setting in before}
    new = {setting.path: setting for setting in after}
    old_funds, new_funds = _funds(old), _funds(new)
    found = [
        Difference(("funds", name), None, "a new fund", Effect.NOW, _place_of(name, after))
        for name in new_funds
        if name not in old_funds
    ]
    for path in dict.fromkeys((*new, *old)):
        if path[0] == "funds" and not (path[1] in old_funds and path[1] in new_funds):
            continue
        was, now = old.get(path), new.get(path)
        if not _equal(was.written if was else None, now.written if now else None):
            found.append(
                Difference(
                    path,
                    was.written if was else None,
                    now.written if now else None,
                    effect_of(path),
                    now.place if now else None,
                )
            )
    gone = (name for name in old_funds if name not in new_funds)
    return (*found, *(Difference(("funds", name), "a fund", None, Effect.GONE) for name in gone))


def effect_of(path: KeyPath) -> Effect:
    """Return when a difference at `path` can come into force."""
    return next((effect for pattern, effect in EFFECTS if fits(pattern, path)), Effect.RESTART)


def fits(pattern: str, path: KeyPath) -> bool:
    """Whether a key pattern of `EFFECTS` is about the key at `path`."""
    parts = pattern.split(".")
    if parts[-1] == "**":
        parts = parts[:-1]
        path = path[: len(parts)] if len(path) > len(parts) else ()
    return len(parts) == len(path) and all(
        part in ("*", key) for part, key in zip(parts, path, strict=True)
    )


def _equal(one: str | None, other: str | None) -> bool:
    """Whether two values mean the same: 0.150 and 0.15 do."""
    if one is None or other is None or one == other:
        return one == other
    try:
        return Decimal(one) == Decimal(other)
    except InvalidOperation:
        return False


def _funds(paths: Iterable[KeyPath]) -> dict[str, None]:
    return {path[1]: None for path in paths if path[0] == "funds"}


def _place_of(name: str, settings: Sequence[Setting]) -> Place | None:
    places = (item.place for item in settings if item.path[:2] == ("funds", name))
    return min((place for place in places if place is not None), default=None)
