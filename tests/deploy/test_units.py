"""The systemd units: how exposed they leave the machine, and that what they name exists."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rebalancer.cli.app import app
from rebalancer.cli.exits import Exit
from rebalancer.settings import parse
from tests.boot.scene import PAPER, steps

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
README = (DEPLOY / "README.md").read_text(encoding="utf-8")
UNIT = (DEPLOY / "rebalancer.service").read_text(encoding="utf-8")
TEMPLATE = (DEPLOY / "rebalancer@.service").read_text(encoding="utf-8")
#: of systemd-analyze, from 0 (confined) to 10
EXPOSURE_MAX = 1.5


def analyze(*arguments: str, root: Path) -> str:
    """Return what systemd-analyze says of the units under `root`."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not on this machine: apt-get install systemd")
    done = subprocess.run(
        [program, *arguments], cwd=root, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def exposure(tmp_path: Path, unit: str, *drop_ins: str) -> float:
    """Return the exposure of a unit with these drop-ins, examined without a running systemd."""
    units = tmp_path / "etc/systemd/system"
    units.mkdir(parents=True)
    shutil.copy(DEPLOY / unit, units)
    for name in drop_ins:
        (units / f"{unit}.d").mkdir(exist_ok=True)
        shutil.copy(DEPLOY / "rebalancer.service.d" / name, units / f"{unit}.d" / name)
    named = unit.replace("@.", "@second.")
    said = analyze("security", "--offline=true", f"--root={tmp_path}", named, root=tmp_path)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    assert found is not None, said
    return float(found.group(1))


@pytest.mark.parametrize("unit", ["rebalancer.service", "rebalancer@.service"])
@pytest.mark.parametrize("drop_ins", [(), ("credentials.conf",), ("postgresql.conf",)])
def test_a_desk_is_hardly_exposed(tmp_path: Path, unit: str, drop_ins: tuple[str, ...]) -> None:
    assert exposure(tmp_path, unit, *drop_ins) == 1.1 <= EXPOSURE_MAX


def test_a_desk_without_a_way_out_is_safe(tmp_path: Path) -> None:
    assert exposure(tmp_path, "rebalancer.service", "egress.conf", "credentials.conf") == 0.9


def test_the_relay_and_the_backup_are_no_holes_beside_it(tmp_path: Path) -> None:
    assert exposure(tmp_path / "relay", "rebalancer-egress@.service") <= EXPOSURE_MAX
    assert exposure(tmp_path / "backup", "rebalancer-backup.service") <= EXPOSURE_MAX


def test_the_score_is_one_that_can_be_missed(tmp_path: Path) -> None:
    units = tmp_path / "etc/systemd/system"
    units.mkdir(parents=True)
    (units / "bare.service").write_text("[Service]\nExecStart=/bin/true\n", encoding="utf-8")
    said = analyze("security", "--offline=true", f"--root={tmp_path}", "bare.service", root=units)
    assert re.search(r": 9\.\d UNSAFE", said), said


@pytest.mark.parametrize("unit", sorted(path.name for path in DEPLOY.glob("*.service")))
def test_systemd_understands_every_line(tmp_path: Path, unit: str) -> None:
    for path in DEPLOY.glob("rebalancer*.*"):
        if path.is_file():
            shutil.copy(path, tmp_path)
    shutil.copytree(DEPLOY / "rebalancer.service.d", tmp_path / "rebalancer.service.d")
    socket = tmp_path / "rebalancer-egress@.socket"
    given = (DEPLOY / "egress/listen.conf").read_text(encoding="utf-8").split("[Socket]\n")[1]
    socket.write_text(
        socket.read_text(encoding="utf-8").replace("[Socket]\n", f"[Socket]\n{given}"),
        encoding="utf-8",
    )
    said = analyze("verify", unit.replace("@.", "@second."), root=tmp_path)
    ours = [line for line in said.splitlines() if "rebalancer" in line]
    # The program is not installed at its place here, nor is the relay on every machine.
    rest = [line for line in ours if "is not executable: No such file" not in line]
    assert rest == []


def test_the_template_is_the_unit_with_a_name() -> None:
    """Two files, one meaning: what is hardened in one is in the other."""
    made = re.sub(r"\A#.*\n", "", UNIT)
    made = made.replace("Rebalancing desk of", "Rebalancing desk %i of")
    made = made.replace("/etc/rebalancer/config.toml", "/etc/rebalancer/%i.toml")
    for place in ("/var/lib/rebalancer/", "/run/rebalancer/"):
        made = made.replace(place, f"{place[:-1]}-%i/")
    for name in ("User", "StateDirectory", "RuntimeDirectory"):
        made = made.replace(f"{name}=rebalancer\n", f"{name}=rebalancer-%i\n")
    assert re.sub(r"\A#.*\n", "", TEMPLATE) == made


def test_the_template_of_the_backup_is_its_unit_with_a_name() -> None:
    made = re.sub(r"\A#.*\n", "", (DEPLOY / "rebalancer-backup.service").read_text("utf-8"))
    made = made.replace("rebalancing desk", "rebalancing desk %i")
    made = made.replace("/etc/rebalancer/config.toml", "/etc/rebalancer/%i.toml")
    made = re.sub(r"(/var/lib/(?:private/)?rebalancer)(?=[ /])", r"\1-%i", made)
    made = made.replace("/rebalancer-$(date", "/rebalancer-%i-$(date")
    template = (DEPLOY / "rebalancer-backup@.service").read_text("utf-8")
    assert re.sub(r"\A#.*\n", "", template) == made


def test_no_exit_code_that_needs_a_person_is_started_again() -> None:
    (never,) = re.findall(r"^RestartPreventExitStatus=(.*)$", UNIT, re.MULTILINE)
    assert never.split() == [str(int(Exit.USAGE)), str(int(Exit.REFUSED)), "CREDENTIALS"]
    (delay,) = re.findall(r"^RestartSec=(\d+)$", UNIT, re.MULTILINE)
    (burst,) = re.findall(r"^StartLimitBurst=(\d+)$", UNIT, re.MULTILINE)
    (interval,) = re.findall(r"^StartLimitIntervalSec=(\d+)$", UNIT, re.MULTILINE)
    assert int(delay) * int(burst) < int(interval), "the limit must be one that can be reached"


@pytest.mark.parametrize(
    ("drop_in", "url"),
    [("", "sqlite:////var/lib/rebalancer/rebalancer.db"), ("postgresql.conf", "postgresql://db/x")],
)
def test_the_kill_switch_outlives_a_restart(drop_in: str, url: str) -> None:
    """What lies in /run/rebalancer is gone whenever the desk ends (systemd.exec(5))."""
    drop_ins = DEPLOY / "rebalancer.service.d"
    lines = UNIT + ((drop_ins / drop_in).read_text(encoding="utf-8") if drop_in else "")
    environ = dict(re.findall(r"^Environment=(\w+)=(.*)$", lines, re.MULTILINE))
    switch = parse("", environ=environ | {"REBALANCER__STORE__URL": url}).kill_switch
    assert switch.parent == Path("/var/lib/rebalancer")


def test_a_stop_has_time_for_what_is_on_its_way() -> None:
    from rebalancer.desk.daemon import STOP_WITHIN_SECONDS  # noqa: PLC0415 - heavy, and only here

    (stop,) = re.findall(r"^TimeoutStopSec=(\d+)$", UNIT, re.MULTILINE)
    assert float(stop) > 3 * STOP_WITHIN_SECONDS


def test_every_file_that_the_steps_name_exists() -> None:
    named = set(re.findall(r"\bdeploy/[\w@./-]+", README))
    named = {name for name in named if not re.search(r"/config.toml$|/secrets\b", name)}
    assert len(named) > 10
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
    shipped = {
        str(path.relative_to(ROOT))
        for path in DEPLOY.rglob("*")
        if path.is_file() and path.suffix in {".service", ".socket", ".timer", ".conf"}
    }
    assert shipped <= named, "every unit has its steps"


def test_the_steps_begin_a_configuration_that_can_run(tmp_path: Path) -> None:
    begin, check = [line for line in steps("Install") if line.startswith("rebalancer config")]
    for line in (begin, check):
        _, *arguments = shlex.split(line.replace("/etc/rebalancer", str(tmp_path)))
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, done.output
    assert (tmp_path / "config.toml").read_text("utf-8") == PAPER


def test_each_host_of_the_relays_has_an_address_of_its_own() -> None:
    lines = (DEPLOY / "egress/hosts").read_text(encoding="utf-8").splitlines()
    addresses = [line.split()[0] for line in lines if not line.startswith("#")]
    assert len(set(addresses)) == len(addresses)
    listen = (DEPLOY / "egress/listen.conf").read_text(encoding="utf-8")
    (address,) = re.findall(r"^ListenStream=(\S+):443$", listen, re.MULTILINE)
    assert f"{address} fapi.binance.com" in lines
