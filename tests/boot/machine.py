"""A Debian in a folder, booted by systemd-nspawn, and a way to run commands in it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parents[2]
SUITE = "bookworm"
PACKAGES = "systemd,systemd-sysv,dbus,python3,python3-venv,make,ca-certificates"
#: what an installation is made of; the tests stay at home
SOURCES = (
    "deploy",
    "docs",
    "rebalancer",
    "Makefile",
    "README.md",
    "config.example.toml",
    "pyproject.toml",
    "requirements.lock",
)
#: where the sources are in the machine, and where its packages come from
HOME = "/root/rebalancer"
WHEELS = "/var/cache/wheels"
BOOT_SECONDS = 120.0
#: for whatever is waited for; the machine may be busy with other things
PATIENCE_SECONDS = 240.0


class CannotBoot(Exception):
    """This computer lacks something that booting needs; one sentence."""


def refuse_unable() -> None:
    """Raise CannotBoot where no machine can be booted here."""
    if os.geteuid() != 0:
        raise CannotBoot("booting a machine needs root")
    for program, package in (
        ("debootstrap", "debootstrap"),
        ("systemd-nspawn", "systemd-container"),
        ("nsenter", "util-linux"),
    ):
        if shutil.which(program) is None:
            raise CannotBoot(f"{program} is missing: apt-get install {package}")


def wait_until(holds: Callable[[], object], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until `holds`, or fail with `what`."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:.0f} s in vain: {what}")
        time.sleep(0.2)


def debian(folder: Path) -> Path:
    """Return a Debian under `folder`, laid down at the first call: a minute, and 0.3 GB."""
    root, done = folder / "debian", folder / "debian.done"
    if not done.exists():
        shutil.rmtree(root, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        given = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(root)]
        with (folder / "debootstrap.log").open("w") as log:
            subprocess.run(given, check=True, stdout=log, stderr=log)
        done.touch()
    return root


def wheels(folder: Path) -> Path:
    """Return the packages of the lock for the Python of that Debian; the machine needs no index."""
    here = folder / "wheels"
    lock = SOURCE / "requirements.lock"
    done = folder / "wheels.lock"
    if not done.exists() or done.read_bytes() != lock.read_bytes():
        shutil.rmtree(here, ignore_errors=True)
        given = [sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes"]
        given += ["--disable-pip-version-check", "--only-binary=:all:", "--python-version=3.11"]
        subprocess.run([*given, "-r", str(lock), "-d", str(here)], check=True)
        shutil.copyfile(lock, done)
    return here


def fresh_root(folder: Path) -> Path:
    """Return a copy of the Debian with the sources and packages in it, as a clone would be."""
    root = folder / "machine"
    shutil.rmtree(root, ignore_errors=True)
    subprocess.run(["cp", "-a", "--reflink=auto", str(debian(folder)), str(root)], check=True)
    home = root / HOME.lstrip("/")
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in SOURCES:
        source, aim = SOURCE / name, home / name
        aim.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, aim, ignore=ignored)
        else:
            shutil.copyfile(source, aim)
    shutil.copytree(wheels(folder), root / WHEELS.lstrip("/"))
    return root


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    said: str


class Machine:
    """A machine that runs."""

    def __init__(self, root: Path, console: Path) -> None:
        self.root = root
        self._console = console.open("wb")
        # The network is this computer's: that is how the desk reaches the loopback venue.
        given = ["systemd-nspawn", "--directory", str(root), "--boot", "--register=no"]
        self._nspawn = subprocess.Popen(
            [*given, "--keep-unit", "--machine=rebalancer-boot", "--console=pipe"],
            stdin=subprocess.DEVNULL,
            stdout=self._console,
            stderr=self._console,
        )

    @property
    def _leader(self) -> str:
        """The number of its first process, empty before there is one."""
        pid = self._nspawn.pid
        return Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").strip()

    def until_booted(self) -> str:
        """Wait until every unit has started or failed; return systemd's word for it."""
        states = {"running", "degraded"}
        wait_until(
            lambda: (
                self._nspawn.poll() is not None
                or (self._leader and self.run("systemctl is-system-running").said.strip() in states)
            ),
            "the machine is up",
            BOOT_SECONDS,
        )
        assert self._nspawn.poll() is None, "the machine ended while it started"
        return self.run("systemctl is-system-running").said.strip()

    def run(self, line: str, seconds: float = PATIENCE_SECONDS) -> Done:
        """Run a line of shell in the machine, as root in the folder of the sources."""
        entered = ["nsenter", "--target", self._leader, "--all", "--"]
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LANG": "C.UTF-8",
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": WHEELS,
            "SYSTEMD_PAGER": "",
        }
        given = [f"{name}={value}" for name, value in environment.items()]
        done = subprocess.run(
            [*entered, "/usr/bin/env", "-i", *given, "bash", "-c", f"cd {HOME} && {line}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=seconds,
            check=False,
        )
        return Done(done.returncode, done.stdout)

    def must(self, line: str, seconds: float = PATIENCE_SECONDS) -> str:
        """Run a line that has to succeed and return what it said."""
        done = self.run(line, seconds)
        assert done.code == 0, f"{line} ended with {done.code}:\n{done.said}"
        return done.said

    def show(self, unit: str, name: str) -> str:
        """Return a property of a unit."""
        return self.must(f"systemctl show --value --property={name} {unit}").strip()

    def write(self, path: str, text: str) -> None:
        """Write a file of the machine."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def journal(self, unit: str) -> str:
        """Return what a unit and systemd said of it."""
        return self.must(f"journalctl --no-pager --output=cat --unit={unit}")

    def end(self) -> None:
        """Switch it off."""
        if self._nspawn.poll() is None:
            self._nspawn.send_signal(signal.SIGTERM)
            try:
                self._nspawn.wait(60)
            except subprocess.TimeoutExpired:
                self._nspawn.kill()
                self._nspawn.wait()
        self._console.close()


@contextlib.contextmanager
def booted(folder: Path) -> Iterator[Machine]:
    """Boot a fresh machine under `folder`; it is switched off at the end."""
    machine = Machine(fresh_root(folder), folder / "console.log")
    try:
        yield machine
    finally:
        machine.end()
