"""The alert rules as Prometheus reads them: each fires by what it is for, and by nothing else.

promtool comes with Debian's package prometheus; without it this is skipped.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

RULES = Path(__file__).resolve().parents[2] / "deploy/prometheus/rebalancer.rules.yml"
NAMES = [rule["alert"] for rule in yaml.safe_load(RULES.read_text())["groups"][0]["rules"]]
#: of one minute each; a series goes on for longer than any rule waits
STEPS = 320
FUND = '{fund="BTC3L"}'
ORDERS = "rebalancer_order_reports_total"
RUNS = 'rebalancer_rebalances_total{fund="BTC3L", trigger="fixed", result="%s"}'
STATE = 'rebalancer_fund_state{fund="BTC3L", state="%s"}'
BAND = 'rebalancer_fund_leverage_band_ratio{fund="BTC3L", edge="%s"}'
MISSED = 'rebalancer_fixed_instants_total{fund="BTC3L", result="missed"}'
SLIPPED = 'rebalancer_trade_slippage_ratio_%s{account="main"}'
RAISED = 'rebalancer_alerts_total{name="%s", severity="%s"}'
DROPPED = 'rebalancer_stream_readers_dropped_total{reason="%s"}'


def still(value: float) -> str:
    return f"{value}x{STEPS}"


def grows(by: float) -> str:
    return f"0+{by}x{STEPS}"


def jumps(after: int, to: float) -> str:
    """Return a counter that is there and stands still, and moves once."""
    return f"0x{after - 1} {to}x{STEPS - after}"


def appears(after: int) -> str:
    """Return a counter of which nothing was known before it had counted once."""
    return f"_x{after - 1} 1x{STEPS - after}"


#: a desk at which nothing is the matter
QUIET = {
    'up{job="rebalancer"}': still(1),
    'rebalancer_build_info{mode="live"}': still(1),
    "rebalancer_ready": still(1),
    "rebalancer_publications_total": grows(60),
    "rebalancer_clock_timestamp_seconds": grows(60),
    "rebalancer_open_breaks": still(0),
    "rebalancer_open_alerts": still(0),
    f"rebalancer_fund_stale{FUND}": still(0),
    f"rebalancer_fund_leverage_ratio{FUND}": still(-3.2),
    f"rebalancer_fund_target_leverage_ratio{FUND}": still(-3),
    BAND % "lower": still(2),
    BAND % "upper": still(4),
    f"rebalancer_fund_margin_ratio{FUND}": still(0.02),
    f"rebalancer_fund_tracking_ratio{FUND}": still(-0.001),
    f"rebalancer_fund_premium_ratio{FUND}": still(0.01),
    f"rebalancer_fund_rebalancing{FUND}": still(0),
    f"rebalancer_fund_last_rebalance_timestamp_seconds{FUND}": grows(60),
    f"rebalancer_fund_next_rebalance_timestamp_seconds{FUND}": grows(60),
    'rebalancer_account_liquidation_distance_ratio{account="main"}': still(0.3),
    STATE % "active": still(1),
    MISSED: still(0),
    RUNS % "done": jumps(30, 1),
    f'{ORDERS}{{outcome="rejected"}}': grows(0.1),
    f'{ORDERS}{{outcome="unknown"}}': grows(0.1),
    SLIPPED % "sum": grows(0.0001),
    SLIPPED % "count": grows(1),
    RAISED % ("winner_drifts", "warning"): appears(30),
    DROPPED % "too slow": grows(0.1),
    DROPPED % "the desk stops": jumps(30, 500),
}
#: a day is gone through in steps of so many minutes
LONG_STEP = 30
#: what is the matter, and after how many minutes the alert must stand and not stand yet
CASES: dict[str, tuple[dict[str, str], int, int]] = {
    "DeskDown": ({'up{job="rebalancer"}': f"1x29 0x{STEPS}"}, 32, 30),
    "DeskNotReady": ({"rebalancer_ready": f"1x29 0x{STEPS}"}, 36, 34),
    "PublicationStopped": ({"rebalancer_publications_total": "0+60x29 1800x290"}, 36, 31),
    "NavStale": ({f"rebalancer_fund_stale{FUND}": f"0x29 1x{STEPS}"}, 33, 31),
    "LeverageBeyondRules": (
        {
            f"rebalancer_fund_leverage_ratio{FUND}": f"-3x29 -7x{STEPS}",
            BAND % "upper": "_x1",
            BAND % "lower": "_x1",
        },
        *(32, 30),
    ),
    "LeverageOutsideBand": (
        {f"rebalancer_fund_leverage_ratio{FUND}": f"-3x29 -4.1x{STEPS}"},
        *(46, 44),
    ),
    "MarginLow": ({f"rebalancer_fund_margin_ratio{FUND}": f"0x29 0.31x{STEPS}"}, 32, 30),
    "LiquidationNear": (
        {'rebalancer_account_liquidation_distance_ratio{account="main"}': f"1x29 0.09x{STEPS}"},
        *(32, 30),
    ),
    "BreakOpen": ({"rebalancer_open_breaks": f"0x29 1x{STEPS}"}, 36, 34),
    "ClockSkew": ({"rebalancer_clock_timestamp_seconds": f"6+60x{STEPS}"}, 33, 1),
    "RebalanceMissed": ({MISSED: jumps(30, 1)}, 32, 28),
    "RebalanceOverdue": (
        {f"rebalancer_fund_last_rebalance_timestamp_seconds{FUND}": still(-172_800 + 1_800)},
        *(42, 38),
    ),
    "RebalanceIncomplete": ({RUNS % "incomplete": appears(30)}, 32, 28),
    "RebalanceTooLong": ({f"rebalancer_fund_rebalancing{FUND}": f"0x29 1x{STEPS}"}, 152, 148),
    "OrdersRefused": ({f'{ORDERS}{{outcome="rejected"}}': jumps(30, 8)}, 33, 28),
    "OrdersUnknown": ({f'{ORDERS}{{outcome="unknown"}}': jumps(30, 8)}, 33, 28),
    "SlippageHigh": ({SLIPPED % "sum": grows(0.003)}, 35, 20),
    "FundHalted": ({STATE % "halted": f"_x29 1x{STEPS}"}, 92, 88),
    "FundEnded": ({STATE % "wiped": f"_x29 1x{STEPS}"}, 31, 28),
    "TrackingGap": ({f"rebalancer_fund_tracking_ratio{FUND}": f"0x29 -0.021x{STEPS}"}, 62, 58),
    "PremiumHigh": ({f"rebalancer_fund_premium_ratio{FUND}": f"0x29 -0.2x{STEPS}"}, 32, 30),
    "TokenQuoteDead": ({RAISED % ("quote_dead", "warning"): appears(30)}, 32, 28),
    "CriticalAlert": ({RAISED % ("fund_halted", "critical"): appears(30)}, 32, 28),
    "AlertUnattended": (
        {
            "rebalancer_open_alerts": f"0x9 2x{STEPS}",
            "rebalancer_clock_timestamp_seconds": grows(LONG_STEP * 60),
            f"rebalancer_fund_last_rebalance_timestamp_seconds{FUND}": grows(LONG_STEP * 60),
        },
        *((10 + 48) * LONG_STEP + LONG_STEP, (10 + 48) * LONG_STEP - 2 * LONG_STEP),
    ),
    "StreamReadersDropped": ({DROPPED % "too slow": jumps(30, 40)}, 32, 28),
}


@pytest.fixture(scope="module")
def promtool() -> str:
    path = shutil.which("promtool")
    if path is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    return path


def fires(at: int, *names: str) -> dict[str, Any]:
    """Return what promtool is to check: just these alerts stand after so many minutes."""
    samples = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in names]
    return {
        "expr": 'count by (alertname) (ALERTS{alertstate="firing", alertname!="Watchdog"})',
        "eval_time": f"{at}m",
        "exp_samples": samples,
    }


def situation(changed: dict[str, str], *checks: dict[str, Any], step: int = 1) -> dict[str, Any]:
    series = [{"series": name, "values": values} for name, values in (QUIET | changed).items()]
    return {"interval": f"{step}m", "input_series": series, "promql_expr_test": list(checks)}


def said_by(promtool: str, folder: Path, situations: list[dict[str, Any]], step: int = 1) -> str:
    """Return what promtool finds wrong; nothing where all is as expected."""
    path = folder / "tests.yml"
    document = {"rule_files": [str(RULES)], "evaluation_interval": f"{step}m", "tests": situations}
    path.write_text(yaml.safe_dump(document))
    done = subprocess.run(
        [promtool, "test", "rules", str(path)], capture_output=True, text=True, check=False
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_every_alert_fires_by_what_it_is_for_and_by_nothing_else(
    promtool: str, tmp_path: Path
) -> None:
    assert [*CASES, "Watchdog"] == NAMES
    calm = situation({}, *(fires(at) for at in (5, 31, 130)))
    overdue = CASES["RebalanceOverdue"][0]
    closed = overdue | {f"rebalancer_fund_next_rebalance_timestamp_seconds{FUND}": "_x1"}
    cases = {
        name: situation(
            *(changed, fires(before), fires(after, name)),
            step=LONG_STEP if name == "AlertUnattended" else 1,
        )
        for name, (changed, after, before) in CASES.items()
    }
    unattended = cases.pop("AlertUnattended")
    assert said_by(promtool, tmp_path, [calm, situation(closed, fires(60)), *cases.values()]) == ""
    assert said_by(promtool, tmp_path, [unattended], LONG_STEP) == ""


def test_an_alert_that_stays_away_is_noticed(promtool: str, tmp_path: Path) -> None:
    assert "MarginLow" in said_by(promtool, tmp_path, [situation({}, fires(10, "MarginLow"))])
