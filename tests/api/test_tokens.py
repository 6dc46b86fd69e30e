"""Bearer tokens: made once, kept as a hash, worth nothing when they end."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import pytest

from rebalancer.api.tokens import Keyring, TokenScope, create, read_tokens, revoke
from rebalancer.core.instant import DAY_MS
from rebalancer.errors import CommandRefused, InputRefused

NOW = 1_800_000_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the tokens are kept."""
    return tmp_path / "desk.tokens"


def test_a_token_has_256_bits_and_only_its_hash_is_kept(path: Path) -> None:
    made = create(path, "grafana", TokenScope.READ, NOW, DAY_MS)
    assert re.fullmatch(r"rbl_[0-9a-f]{8}_[A-Za-z0-9_-]{43}", made)
    secret = made.split("_", 2)[2]
    assert secret not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (kept,) = read_tokens(path)
    assert (kept.name, kept.scope, kept.expires_ms) == ("grafana", TokenScope.READ, NOW + DAY_MS)


def test_the_keyring_knows_the_holder_until_the_token_expires(path: Path) -> None:
    made = create(path, "ops", TokenScope.OPERATE, NOW, DAY_MS)
    keyring = Keyring(path)
    holder = keyring.holder(made, NOW + DAY_MS - 1)
    assert holder is not None
    assert holder.name == "ops"
    assert keyring.holder(made, NOW + DAY_MS) is None


@pytest.mark.parametrize(
    "presented",
    ["", "x", "rbl_00000000_" + "A" * 43, "rbl_zz", "\u2713", "rbl_00000000_" + "A" * 9999],
)
def test_it_knows_nobody_else(path: Path, presented: str) -> None:
    create(path, "ops", TokenScope.OPERATE, NOW, None)
    assert Keyring(path).holder(presented, NOW) is None


def test_the_right_id_with_another_secret_opens_nothing(path: Path) -> None:
    made = create(path, "ops", TokenScope.OPERATE, NOW, None)
    other = made[:-1] + ("A" if made[-1] != "A" else "B")
    assert Keyring(path).holder(other, NOW) is None


def test_a_revoked_token_is_refused_at_once(path: Path) -> None:
    made = create(path, "ops", TokenScope.OPERATE, NOW, None)
    keyring = Keyring(path)
    assert keyring.holder(made, NOW) is not None
    revoke(path, "ops", NOW + 1)
    assert keyring.holder(made, NOW + 2) is None
    assert not keyring.any_valid(NOW + 2)
    again = create(path, "ops", TokenScope.READ, NOW + 3, None)
    assert keyring.holder(again, NOW + 3) is not None


def test_a_name_is_given_once_and_can_be_read(path: Path) -> None:
    create(path, "ops", TokenScope.OPERATE, NOW, None)
    with pytest.raises(CommandRefused, match="revoke it first"):
        create(path, "ops", TokenScope.READ, NOW, None)
    with pytest.raises(InputRefused, match="not a name"):
        create(path, "a b", TokenScope.READ, NOW, None)
    with pytest.raises(CommandRefused, match="no valid token other; valid are ops"):
        revoke(path, "other", NOW)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"version": 1}', '{"version": 1, "tokens": [1]}']
)
def test_a_broken_file_lets_nobody_in_and_is_said(path: Path, text: str) -> None:
    path.write_text(text)
    keyring = Keyring(path)
    for _ in range(2):
        with pytest.raises(InputRefused, match=r"desk\.tokens"):
            keyring.holder("x", NOW)


def test_a_file_of_a_newer_program_is_not_guessed_at(path: Path) -> None:
    path.write_text(json.dumps({"version": 2, "tokens": []}))
    with pytest.raises(InputRefused, match="newer"):
        read_tokens(path)


def test_without_a_file_there_are_no_tokens(path: Path) -> None:
    assert read_tokens(path) == ()
    assert Keyring(path).holder("x", NOW) is None


def test_each_scope_covers_the_lesser_ones() -> None:
    assert [TokenScope.OPERATE.covers(each) for each in TokenScope] == [True, True, False]
    assert all(TokenScope.ADMIN.covers(each) for each in TokenScope)
