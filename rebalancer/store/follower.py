"""Keeps the projections up behind the journal, when it disturbs nobody, on the writer's thread."""

from __future__ import annotations

import time

from sqlalchemy.exc import SQLAlchemyError

from rebalancer.store.projections import catch_up
from rebalancer.store.session import Session
from rebalancer.store.target import unavailable

#: The projections follow after so long without a job, and after so long in any case: the moment
#: after a commit belongs to the order that waited for it.
QUIET_SECONDS = 0.02
LONGEST_BEHIND_SECONDS = 0.25
#: Records folded in one transaction: a commit that arrives meanwhile waits for no more.
FOLDED_AT_ONCE = 200
#: The log goes into the file after so many commits, once nothing waits. With what is folded behind
#: them they need about 29 kB each: less than the length that the log has from the start.
CHECKPOINT_COMMITS = 30


class Follower:
    """What the projections still lack, and when it is folded in."""

    def __init__(self, session: Session) -> None:
        """Fold in what an earlier desk left; SQLAlchemyError and our own errors come out."""
        self._session = session
        self._journal_seq = 0
        self._projected_seq = -1
        while (seq := self._fold()) != self._projected_seq:
            self._projected_seq = seq
        self._journal_seq = seq
        self._behind_since: float | None = None
        self._commits = 0
        #: folding failed: it is tried again before the next commit, which fails with it
        self._stuck = False

    @property
    def is_behind(self) -> bool:
        """Whether there is something to fold, and folding has not failed."""
        return self._projected_seq < self._journal_seq and not self._stuck

    @property
    def patience_seconds(self) -> float:
        """How long the writer may wait for a job before the projections have their turn."""
        return min(QUIET_SECONDS, max(0.0, LONGEST_BEHIND_SECONDS - self._behind_seconds))

    def refuse_if_stuck(self) -> None:
        """Raise what keeps the projections from being folded, if anything still does."""
        if self._stuck:
            self.catch_up()

    def grown(self, journal_seq: int) -> None:
        """Take note that the journal ends at `journal_seq` now."""
        if not self.is_behind:
            self._behind_since = time.monotonic()
        self._journal_seq = journal_seq
        self._commits += 1

    def follow(self, *, idle: bool) -> None:
        """Fold one slice where it is time to; tidy the log where nothing else waits."""
        if self.is_behind and (idle or self._behind_seconds >= LONGEST_BEHIND_SECONDS):
            self._fold_slice()
        if idle and not self.is_behind and self._commits >= CHECKPOINT_COMMITS:
            self._session.checkpoint()
            self._commits = 0

    def catch_up(self) -> None:
        """Fold everything; StoreUnavailable and BrokenInvariant come out."""
        self._stuck = False
        while self.is_behind:
            self._fold_slice()

    @property
    def _behind_seconds(self) -> float:
        return 0.0 if self._behind_since is None else time.monotonic() - self._behind_since

    def _fold_slice(self) -> None:
        self._stuck = True
        try:
            self._projected_seq = self._fold()
        except SQLAlchemyError as error:
            raise unavailable(self._session.place, error) from error
        self._stuck = False

    def _fold(self) -> int:
        return self._session.run_unflushed(lambda connection: catch_up(connection, FOLDED_AT_ONCE))
