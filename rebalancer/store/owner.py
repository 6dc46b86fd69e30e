"""Who a file belongs to: root's commands make what a desk of another user has to read."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def own_like(made: Path, model: Path) -> None:
    """Give what root made to the owner of `model`; others make files of their own only.

    A root that may not give files away (in a container) keeps them, as anybody else does.
    """
    if os.geteuid() != 0:
        return
    wanted, found = model.stat(), made.stat()
    if (wanted.st_uid, wanted.st_gid) != (found.st_uid, found.st_gid):
        with suppress(PermissionError):
            os.chown(made, wanted.st_uid, wanted.st_gid)
