"""Every fault of the suite, a few times: nothing is lost, repeated or stuck. `make faults` does the same at length."""

import os
from collections.abc import AsyncIterator

import pytest

from tests.faults.faults import FAULTS, done
from tests.faults.report import table
from tests.faults.stand import Stand

SEED = int(os.environ.get("FAULTS_SEED") or 1)


@pytest.fixture
async def whole(stand: Stand) -> AsyncIterator[Stand]:
    """The stand, whole before and after."""
    await stand.whole()
    await stand.answers()
    yield stand
    await stand.whole()


@pytest.mark.parametrize("name", [name for name, entry in FAULTS.items() if entry.short])
async def test_a_fault_loses_repeats_and_holds_up_nothing(whole: Stand, name: str) -> None:
    row = await done(whole, name, SEED, long=False)
    assert row.watches
    assert not row.bad, "\n" + table([row])
