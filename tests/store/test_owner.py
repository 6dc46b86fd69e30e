"""What root makes beside a store belongs to whoever the store belongs to."""

from __future__ import annotations

import os
from pathlib import Path, PosixPath

import pytest

from rebalancer.api.tokens import TokenScope, create
from rebalancer.store.backup import back_up
from rebalancer.store.owner import own_like
from rebalancer.store.restore import restore
from rebalancer.store.sql import open_store
from tests.store.test_backup import url_in

#: of no user of this machine, as a service's own user is while it is stopped
SOMEBODY = 64_321


class Foreign(PosixPath):
    """A folder of somebody else."""

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        del follow_symlinks
        return os.stat_result((0o700, 0, 0, 1, SOMEBODY, SOMEBODY, 0, 0, 0, 0))


def owner(path: Path) -> int:
    return path.stat().st_uid


def theirs(folder: Path) -> list[str]:
    """Return the names of what does not belong to the owner of the folder."""
    return sorted(path.name for path in folder.iterdir() if owner(path) != owner(folder))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
async def test_a_restore_and_a_token_made_by_root_are_for_the_user_of_the_store(
    tmp_path: Path,
) -> None:
    await open_store(url_in(tmp_path)).close()
    back_up(url_in(tmp_path), tmp_path / "old.db")
    folder = tmp_path / "state"
    folder.mkdir()
    os.chown(folder, SOMEBODY, SOMEBODY)

    restore(url_in(folder), tmp_path / "old.db", "now", lambda: None)
    create(folder / "desk.tokens", "me", TokenScope.READ, 0, None)

    assert theirs(folder) == ["desk.tokens.lock"], "which commands alone open"


def test_who_may_not_give_files_away_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def refuse(_made: Path, user: int, _group: int) -> None:
        asked.append(user)
        raise PermissionError

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", refuse)
    (tmp_path / "made").touch()
    own_like(tmp_path / "made", Foreign(tmp_path))
    assert asked == [SOMEBODY]
