"""Every test of the core watches the core: what a step remembers is what it would find anew."""

from __future__ import annotations

import pytest

from rebalancer.core.nav import Valuation
from rebalancer.core.state import FundState
from rebalancer.core.work import Work


@pytest.fixture(autouse=True)
def _a_remembered_valuation_is_the_one_that_would_be_made_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    remembered = Work.worth

    def checked(work: Work, fund: FundState) -> Valuation | None:
        found = remembered(work, fund)
        assert repr(found) == repr(work.state.worth(fund))
        return found

    monkeypatch.setattr(Work, "worth", checked)
