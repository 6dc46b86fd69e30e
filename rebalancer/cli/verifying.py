"""The verify command: the journal replayed from its first record, everything recomputed."""

from __future__ import annotations

from typing import Any

import typer

from rebalancer.cli.exits import Exit, told
from rebalancer.cli.options import AsJson, ConfigPath, load_config
from rebalancer.cli.output import note, print_json
from rebalancer.cli.stored import opened_alone
from rebalancer.errors import BrokenInvariant

#: what is counted, in the order in which it is said
_SAID = (
    "records",
    "keys",
    "postings",
    "positions",
    "NAVs",
    "formula NAVs",
    "flows",
    "fees",
    "accrued funding",
    "funding payments",
    "financing",
    "cash periods",
    "shortfalls",
    "paper trades",
    "runs",
    "runs ended",
    "targets",
    "orders",
    "fills",
    "absences",
    "crosses",
    "fixed instants",
    "starts",
    "left out",
)


@told
def verify(config: ConfigPath = None, as_json: AsJson = False) -> None:
    """Check the store against itself: chain, postings, NAVs, positions, tables. Changes nothing."""
    from rebalancer.configured import desk_of  # noqa: PLC0415 - not needed to print --help
    from rebalancer.core.verification import Verifier  # noqa: PLC0415 - as above
    from rebalancer.store.whole import table_problems  # noqa: PLC0415 - as above

    settings = load_config(config)
    verifier, document = Verifier(desk_of(settings), settings.digest), dict[str, Any]()
    problems: list[str] = []
    try:
        with opened_alone(config) as reader:
            whole = reader.whole()
        document |= {"head": {"seq": whole.head.seq, "hash": whole.head.hash}}
        rows, problems = table_problems(whole)
        verifier.counts["table rows"] = rows
        for record in whole.records:
            verifier.take(record)
        verifier.end()
    except BrokenInvariant as broken:
        problems.append(str(broken))
    problems += verifier.problems
    counts = {name: verifier.counts[name] for name in (*_SAID, "table rows")}
    left_out = dict(sorted(verifier.left_out.items()))
    document |= {"holds": not problems, "checked": counts, "left_out": left_out}
    document |= {"problems": problems}
    if as_json:
        print_json({"version": 1} | document)
    else:
        for name, count in counts.items():
            typer.echo(f"{count:>10}  {name}")
        for kind, count in left_out.items():
            typer.echo(f"{count:>10}  left out: {kind}, which does not say enough")
        typer.echo(_verdict(document))
        for problem in problems:
            note(problem)
    if problems:
        raise typer.Exit(Exit.FAILED)


def _verdict(document: dict[str, Any]) -> str:
    if not document["holds"]:
        return "the store does NOT hold what it says"
    head = document["head"]
    return f"all of it holds; the chain ends at record {head['seq']} with {head['hash']}"
