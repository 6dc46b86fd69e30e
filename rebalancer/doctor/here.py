"""What a desk needs of this machine: its store, its control socket, space, and a clock that is set.

Looks only: nothing is created, locked or changed.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

from rebalancer.desk.control import PATH_BYTES_MAX
from rebalancer.doctor.findings import Finding, Level, judge_disk
from rebalancer.errors import DeskError
from rebalancer.settings.config import Address
from rebalancer.store.looking import StoreSeen, look_at_store

#: adjtimex(2) returns this while nothing keeps the clock in step
_UNSYNCHRONISED = 5
#: more than struct timex takes on any machine
_TIMEX_BYTES = 512


def examine_here(
    store_url: str, control_socket: Path, listeners: Mapping[str, Address]
) -> Iterator[Finding]:
    """Yield what is found on this machine; `listeners` are addresses by their setting in [api]."""
    holder = None
    try:
        store = look_at_store(store_url)
    except DeskError as error:
        seen, _, remedy = str(error).partition("; ")
        fix = "set store.url to a place that this user may write to, or mend what it says"
        yield Finding(Level.FAIL, "here", "store", seen, remedy or fix)
    else:
        holder = store.holder
        yield _store(store)
        if store.folder is not None:
            free = shutil.disk_usage(store.folder).free
            yield judge_disk(free, str(store.folder))
    yield examine_socket(control_socket)
    for setting, address in listeners.items():
        yield examine_listener(setting, address, runs=holder is not None)
    yield examine_clock()


def _store(store: StoreSeen) -> Finding:
    if store.holder is not None:
        seen = f"{store.shown}: the desk with pid {store.holder} runs on it"
    elif store.exists:
        seen = f"{store.shown}: can be opened, and no desk runs on it"
    else:
        seen = f"{store.shown}: not there yet; the first start makes it"
    return Finding(Level.OK, "here", "store", seen)


def examine_socket(path: Path) -> Finding:
    """Look whether a desk could listen at `path`."""

    def refused(seen: str, fix: str) -> Finding:
        return Finding(Level.FAIL, "here", "control socket", seen, fix)

    fix = "set desk.control_socket to a short path in a folder that this user may write to"
    if len(os.fsencode(path)) > PATH_BYTES_MAX:
        return refused(f"{path} is longer than {PATH_BYTES_MAX} bytes", fix)
    folder = path.absolute().parent
    if not folder.is_dir():
        return refused(f"{folder}: there is no such folder", f"make it: mkdir -p {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        return refused(f"{folder}: this user may not write there", fix)
    if os.path.lexists(path) and not path.is_socket():
        return refused(f"{path} is there and is no socket", fix)
    return Finding(Level.OK, "here", "control socket", f"{path}: a desk can listen there")


def examine_listener(setting: str, address: Address, *, runs: bool) -> Finding:
    """Look whether a desk could listen at `address`; one that `runs` does so already."""
    shown = f"{address.host} port {address.port}"
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.host, address.port))
        except OSError as error:
            if runs and error.errno == errno.EADDRINUSE:
                return Finding(Level.OK, "here", setting, f"{shown}: the desk that runs has it")
            return Finding(
                Level.FAIL,
                "here",
                setting,
                f"{shown}: {error.strerror}",
                f"choose another port in api.{setting}, or end what uses it",
            )
    return Finding(Level.OK, "here", setting, f"{shown}: a desk can listen there")


def examine_clock() -> Finding:
    """Ask the kernel whether something keeps this machine's clock in step."""
    state = kernel_clock_state()
    if state < 0:
        seen = "the kernel does not say whether the clock is kept in step"
        return Finding(Level.SKIP, "here", "clock", seen)
    if state == _UNSYNCHRONISED:
        return Finding(
            Level.WARN,
            "here",
            "clock",
            "nothing keeps this machine's clock in step",
            "timedatectl set-ntp true, or start chrony or ntpd",
        )
    return Finding(Level.OK, "here", "clock", "kept in step")


def kernel_clock_state() -> int:
    """Return what adjtimex(2) returns when it is only asked; -1 where it does not answer."""
    try:
        adjtimex = ctypes.CDLL(None).adjtimex
    except (AttributeError, OSError):
        return -1
    # All zeros: modes is nought, so nothing is set.
    return int(adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)))
