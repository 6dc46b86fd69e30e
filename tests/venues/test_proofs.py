"""Every proof that the page of venues names is a test that pytest collects."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rebalancer.venues.facts import FACTS
from tests.venues.golden.proofs import EVERY, PROOFS, Kind, Proof, kinds

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def collected() -> list[str]:
    """The ids of every test in the files that are named."""
    files = {proof.test.partition("::")[0] for proofs in PROOFS.values() for proof in proofs}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n0", "-q", "--collect-only", *sorted(files)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2_000:]
    return [line for line in done.stdout.splitlines() if "::" in line]


def lacking(proof: Proof, collected: list[str]) -> list[str]:
    """The venues of which a proof says something that no test does."""
    found = [name for name in collected if proof.test in (name, name.partition("[")[0])]
    if not proof.case_each:
        return [] if found else list(proof.venues)
    cases = [name.partition("[")[2] for name in found]
    return [venue for venue in proof.venues if not any(venue in case for case in cases)]


def test_every_proof_is_a_test_with_a_case_of_each_venue(collected: list[str]) -> None:
    for capability, proofs in PROOFS.items():
        for proof in proofs:
            assert lacking(proof, collected) == [], (capability, proof)


def test_a_proof_that_is_no_test_is_seen(collected: list[str]) -> None:
    gone = Proof(Kind.GOLDEN, "tests/venues/test_requests.py::test_that_never_was", EVERY)
    assert lacking(gone, collected) == list(EVERY)
    one = "tests/venues/test_exchange_account.py::test_mexc_tells_equity_in_its_own_field"
    assert lacking(Proof(Kind.STUB, one, EVERY, case_each=True), collected) == list(EVERY)


def test_no_venue_is_said_to_be_proved_beyond_a_loopback_that_speaks_its_protocol() -> None:
    loopbacks = {
        venue
        for capability in PROOFS
        for venue in FACTS
        if {Kind.LOOPBACK, Kind.SDK} & {*kinds(capability, venue)}
    }
    assert loopbacks == {"binanceusdm", "xt"}
