"""Every fault of processes, a few times: nothing is lost, repeated or stuck. `make faults` does the same at length."""

import os

import pytest

from tests.faults.faults import OF_PROCESSES, done
from tests.faults.report import table
from tests.faults.stand import Stand

SEED = int(os.environ.get("FAULTS_SEED") or 1)


@pytest.mark.parametrize("name", [name for name, entry in OF_PROCESSES.items() if entry.short])
async def test_a_fault_loses_repeats_and_holds_up_nothing(whole: Stand, name: str) -> None:
    row = await done(whole, name, SEED, long=False)
    assert not row.findings, "\n" + table([row])
