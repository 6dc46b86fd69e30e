"""Makes the environment of the exchange's own client: `python -m tests.loopback.sdk.environment`.

It lies beside `.venv` under the digest of its lock, so that another lock makes another one. Built
once, whole or not at all, whoever asks first; the package index is the one that pip is set up for.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

LOCK = Path(__file__).with_name("requirements.lock")
FOLDER = Path(__file__).parents[3] / ".venv-sdk"
BUILD_SECONDS = 240


class NotToBeHad(Exception):
    """The environment could not be made here; says why."""


def python(lock: Path = LOCK, build_seconds: int = BUILD_SECONDS) -> Path:
    """Return the interpreter of the environment of `lock`, made now where it is not there yet.

    Raises NotToBeHad where its packages cannot be had, as on a machine without an index.
    """
    FOLDER.mkdir(exist_ok=True)
    home = FOLDER / hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    with (FOLDER / "building.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not (home / "ready").exists():
            shutil.rmtree(home, ignore_errors=True)
            _build(home, lock, build_seconds)
            (home / "ready").touch()
    return home / "bin" / "python"


def _build(home: Path, lock: Path, seconds: int) -> None:
    pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    steps = (
        [sys.executable, "-m", "venv", str(home)],
        [*pip, "--disable-pip-version-check", "--require-hashes", "--requirement", str(lock)],
    )
    for step in steps:
        try:
            subprocess.run(step, check=True, capture_output=True, text=True, timeout=seconds)
        except subprocess.CalledProcessError as failed:
            last = failed.stderr.strip().splitlines()[-1:] or ["it says nothing"]
            raise NotToBeHad(f"{step[2]} failed: {last[0]}") from None
        except (OSError, subprocess.TimeoutExpired) as failed:
            raise NotToBeHad(f"{step[2]} failed: {type(failed).__name__}") from None


if __name__ == "__main__":
    sys.stdout.write(f"{python()}\n")
