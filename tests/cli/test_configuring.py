"""Commands that look at the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebalancer.settings import parse
from tests.cli.conftest import CONFIG, Run


class TestConfigCheck:
    def test_a_good_one_is_called_good(self, run: Run) -> None:
        answer = run("config", "check")
        assert (answer.code, answer.err) == (0, "")
        assert "good: mode paper, 2 funds (BTC3L, BTC1S)" in answer.out

    def test_the_document(self, run: Run) -> None:
        document = run("config", "check", "--json").json
        assert document["ok"] is True
        assert document["funds"] == ["BTC3L", "BTC1S"]
        assert len(document["digest"]) == 64

    def test_another_file_can_be_named_in_two_ways(
        self, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (folder / "other.toml").write_text(CONFIG.replace("BTC1S", "BTC2S"))
        assert "BTC2S" in run("config", "check", "-c", "other.toml").out
        monkeypatch.setenv("REBALANCER_CONFIG", "other.toml")
        assert "BTC2S" in run("config", "check").out

    def test_several_mistakes_are_told_at_once_each_with_its_place(
        self, run: Run, folder: Path
    ) -> None:
        text = CONFIG.replace("target_leverage = 3", "levrage = 3").replace("lot =", "lott =")
        (folder / "config.toml").write_text(text)
        answer = run("config", "check")
        assert answer.code == 2
        assert "config.toml:8: " in answer.err
        assert "config.toml:15: " in answer.err
        assert "Traceback" not in answer.err

    def test_one_without_funds_is_not_good(self, run: Run, folder: Path) -> None:
        (folder / "config.toml").write_text('mode = "paper"\n', encoding="utf-8")
        answer = run("config", "check")
        assert answer.code == 2
        assert "no fund is configured" in answer.err


class TestConfigShow:
    def test_what_is_printed_is_a_configuration_that_means_the_same(
        self, run: Run, folder: Path
    ) -> None:
        printed = run("config", "show", "--origin").out
        digest = parse((folder / "config.toml").read_text(), "config.toml").digest
        assert parse(printed).digest == digest

    def test_each_value_says_where_it_was_written(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REBALANCER__FUNDS__BTC3L__MAX_AGE", "1m30s")
        lines = run("config", "show", "--origin").out.splitlines()
        assert 'store.url = "sqlite:///desk.db"  # config.toml:2' in lines
        assert 'funds.BTC3L.account = "main"  # config.toml:11' in lines, "of [defaults]"
        variable = "environment REBALANCER__FUNDS__BTC3L__MAX_AGE"
        assert f'funds.BTC3L.max_age = "1m30s"  # {variable}' in lines
        assert "funds.BTC3L.initial_nav = 100  # default" in lines

    def test_the_defaults_can_be_left_out(self, run: Run) -> None:
        lines = run("config", "show", "--changed").out.splitlines()
        assert "funds.BTC3L.target_leverage = 3" in lines
        assert not any("initial_nav" in line for line in lines)

    def test_a_secret_is_never_printed(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("REBALANCER__ACCOUNTS__MAIN__API_KEY", "canary-key")
        monkeypatch.setenv("REBALANCER__STORE__URL", "postgresql://desk:canary-pass@db/desk")
        for arguments in ([], ["--origin"], ["--json"]):
            answer = run("config", "show", *arguments)
            assert "canary" not in answer.out + answer.err
        assert "# accounts.main.api_key  # set, hidden" in run("config", "show").out
        assert 'store.url = "postgresql://desk@db/desk"' in run("config", "show").out

    def test_the_document(self, run: Run) -> None:
        found = {each["key"]: each for each in run("config", "show", "--json").json}
        assert found["mode"] == {"key": "mode", "value": '"paper"', "origin": "default"}
        assert found["accounts.main.api_key"]["value"] is None

    def test_what_could_not_run_is_refused_and_not_shown(self, run: Run, folder: Path) -> None:
        (folder / "config.toml").write_text(CONFIG.replace("= 3", "= 0"))
        answer = run("config", "show")
        assert answer.code == 2
        assert "target_leverage: must not be zero" in answer.sentence


class TestConfigSchema:
    def test_it_is_the_one_of_the_documentation(self, run: Run) -> None:
        kept = Path(__file__).parents[2] / "docs" / "config.schema.json"
        assert run("config", "schema").out == kept.read_text(encoding="utf-8")
