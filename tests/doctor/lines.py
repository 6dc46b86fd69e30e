"""The lines of an examination."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rebalancer.doctor.findings import Finding, Level


def only_line(
    findings: Sequence[Finding], level: Level, check: str, accepted: Collection[str] = ()
) -> Finding:
    """Return the one line of venues that is not well, beside those that the operator accepted."""
    bad = [each for each in findings if each.where != "here" and each.level is not Level.OK]
    found = [each for each in bad if (each.check, each.level) == (check, level)]
    assert {each.check for each in bad if each not in found} <= {*accepted}, bad
    (finding,) = found
    assert finding.fix, "every line that is not well says what to do"
    return finding
