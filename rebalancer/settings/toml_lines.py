"""Where each key of a TOML document stands: key path -> line, which tomllib does not tell."""

from __future__ import annotations

import re
import tomllib

KeyPath = tuple[str, ...]

_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_KEY_PART = re.compile(r"""[ \t]*([A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')""")
_DOT = re.compile(r"[ \t]*\.[ \t]*")
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'"
    r"|\#[^\n]*"
    r"|[\[\]{}\n]"
    r"|[^\"'\#\[\]{}\n]+",
    re.DOTALL,
)


def key_lines(text: str) -> dict[KeyPath, int]:
    """Return the line, from 1, of every table header and key in `text`, which must be valid TOML.

    A key inside an inline table has no entry of its own: look up the key that the table belongs to.
    A table that is only implied by a longer header has the line of the first such header.
    """
    return _Scanner(text.replace("\r\n", "\n")).lines()


class _Scanner:
    """One pass over a document that tomllib has already accepted."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._counted_to = 0

    def lines(self) -> dict[KeyPath, int]:
        stated: dict[KeyPath, int] = {}
        implied: dict[KeyPath, int] = {}
        table: KeyPath = ()
        while self._skip_blank():
            line = self._line_here()
            if self._text[self._at] == "[":
                self._at += 2 if self._text.startswith("[[", self._at) else 1
                path = table = self._key()
                self._at = self._end_of_line()
            else:
                path = (*table, *self._key())
                self._skip_value()
            stated.setdefault(path, line)
            for length in range(1, len(path)):
                implied.setdefault(path[:length], line)
        return implied | stated

    def _skip_blank(self) -> bool:
        """Move to the next statement; False at the end of the document."""
        blank = _BLANK.match(self._text, self._at)
        self._at = blank.end() if blank else self._at
        return self._at < len(self._text)

    def _line_here(self) -> int:
        self._line += self._text.count("\n", self._counted_to, self._at)
        self._counted_to = self._at
        return self._line

    def _end_of_line(self) -> int:
        found = self._text.find("\n", self._at)
        return len(self._text) if found < 0 else found

    def _key(self) -> KeyPath:
        """Read a dotted key; quoted parts are decoded by tomllib itself."""
        parts = []
        while part := _KEY_PART.match(self._text, self._at):
            self._at = part.end()
            written = part.group(1)
            quoted = written[0] in "\"'"
            parts.append(str(tomllib.loads(f"k = {written}")["k"]) if quoted else written)
            dot = _DOT.match(self._text, self._at)
            if not dot:
                break
            self._at = dot.end()
        return tuple(parts)

    def _skip_value(self) -> None:
        """Move behind a value: the first line end outside strings, arrays and inline tables."""
        depth = 0
        while token := _TOKEN.match(self._text, self._at):
            first = token.group()[0]
            if first == "\n" and depth == 0:
                return
            depth += (first in "[{") - (first in "]}")
            self._at = token.end()
        # Nothing matches at the end of the document, and nowhere else in valid TOML.
        self._at = len(self._text)
