"""The pages of the documentation, as `rebalancer help` shows them: found, named and ordered.

An installed program has them in its own folder `pages`; in a checkout they are those of `docs`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rebalancer.errors import InputRefused

_PACKAGE = Path(__file__).resolve().parents[1]
#: folder of each kind of page, with what it is for; pages at the top are references
KINDS = {
    "tutorial": "learn by doing",
    "how-to": "get something done",
    "explanation": "understand why",
    "reference": "look something up",
}


@dataclass(frozen=True, slots=True)
class Page:
    """One page: `topic` names it on the command line."""

    topic: str
    kind: str
    path: Path

    @property
    def text(self) -> str:
        """The page as it is written, in Markdown."""
        return self.path.read_text(encoding="utf-8")

    @property
    def title(self) -> str:
        """Its first heading."""
        for line in self.text.splitlines():
            if line.startswith("# "):
                return line.removeprefix("# ").strip()
        return self.topic


def folder() -> Path:
    """Return where the pages are; raises InputRefused in an installation without them."""
    for found in (_PACKAGE / "pages", _PACKAGE.parent / "docs"):
        if found.is_dir():
            return found
    raise InputRefused("this installation has no pages; they are in the folder docs of the source")


def pages(root: Path | None = None) -> tuple[Page, ...]:
    """Return every page, those to begin with first."""
    return tuple(_pages(root or folder()))


def _pages(root: Path) -> Iterator[Page]:
    for kind in KINDS:
        for path in sorted((root / kind).glob("*.md")):
            if path.stem != "README":
                yield Page(path.stem, kind, path)
    for path in sorted(root.glob("*.md")):
        if path.stem != "README":
            yield Page(path.stem, "reference", path)


def page_of(topic: str, root: Path | None = None) -> Page:
    """Return the page of a topic; raises InputRefused that names the nearest ones."""
    known = {page.topic: page for page in pages(root)}
    found = known.get(topic.lower().replace(" ", "-").removesuffix(".md"))
    if found is not None:
        return found
    near = difflib.get_close_matches(topic.lower(), known, n=1, cutoff=0.5)
    near = near or [name for name in known if topic.lower() in name][:1]
    hint = f"; the nearest is {near[0]}" if near else ""
    raise InputRefused(
        f"there is no page and no command {topic!r}{hint}; all are in: rebalancer help"
    )
