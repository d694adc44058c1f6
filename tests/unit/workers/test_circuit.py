"""When something that fails is left alone, and when it is tried again."""

import pytest

from workers.inference.circuit import AT_LEAST, IN_A_ROW, LONGEST, SHORTEST, WITHIN, Circuit, State


class Clock:
    """Shows what a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def changes() -> list[State]:
    return []


@pytest.fixture
def circuit(clock: Clock, changes: list[State]) -> Circuit:
    return Circuit(clock, changes.append)


def fails(circuit: Circuit, times: int = 1) -> None:
    for _ in range(times):
        call = circuit.begin()
        call.failed()
        call.let_go()


def goes_well(circuit: Circuit, times: int = 1) -> None:
    for _ in range(times):
        call = circuit.begin()
        call.answered()
        call.ended()
        call.let_go()


def test_it_opens_after_failures_in_a_row(circuit: Circuit, changes: list[State]) -> None:
    fails(circuit, IN_A_ROW - 1)
    goes_well(circuit)
    fails(circuit, IN_A_ROW - 1)
    assert (circuit.state, changes) == ("closed", [])
    fails(circuit)
    assert (circuit.state, changes) == ("open", ["open"])
    assert circuit.blocked


@pytest.mark.parametrize(
    ("calls", "opens"),
    [("+-+-+-+-+-", True), ("++-+-+-+-", False), ("+-+-+-+-", False), ("++-" * 10, False), ("+----" * 2, True)],
)
def test_it_opens_when_half_of_enough_calls_fail(circuit: Circuit, calls: str, *, opens: bool) -> None:
    for one in calls:
        goes_well(circuit) if one == "+" else fails(circuit)
    assert (circuit.era > 0) is opens
    assert not opens or len(calls) >= AT_LEAST


def test_what_failed_long_ago_does_not_count(circuit: Circuit, clock: Clock) -> None:
    for _ in range(4):
        fails(circuit)
        goes_well(circuit)
    clock.passes(WITHIN + 1)
    fails(circuit)
    goes_well(circuit)
    assert circuit.state == "closed"


def test_after_a_while_exactly_one_call_tries(circuit: Circuit, clock: Clock, changes: list[State]) -> None:
    fails(circuit, IN_A_ROW)
    clock.passes(SHORTEST - 0.1)
    assert (circuit.state, circuit.blocked) == ("open", True)
    clock.passes(0.1)
    assert (circuit.state, circuit.blocked) == ("half-open", False)
    tries = circuit.begin()
    assert circuit.blocked
    assert not circuit.begin().tries
    tries.answered()
    assert (circuit.state, circuit.blocked) == ("closed", False)
    assert changes == ["open", "half-open", "closed"]


def test_one_that_tried_and_said_nothing_leaves_the_try_to_the_next(circuit: Circuit, clock: Clock) -> None:
    fails(circuit, IN_A_ROW)
    clock.passes(SHORTEST)
    circuit.begin().let_go()
    assert (circuit.state, circuit.blocked) == ("half-open", False)


def test_each_failed_try_doubles_the_time_up_to_a_minute(circuit: Circuit, clock: Clock) -> None:
    fails(circuit, IN_A_ROW)
    pauses = list[float]()
    for _ in range(6):
        began = clock.now
        while circuit.state == "open":
            clock.passes(0.5)
        pauses.append(clock.now - began)
        fails(circuit)
    assert pauses == [SHORTEST, 10.0, 20.0, 40.0, LONGEST, LONGEST]


def test_a_try_that_fails_after_its_first_word_opens_it_again_for_longer(circuit: Circuit, clock: Clock) -> None:
    fails(circuit, IN_A_ROW)
    clock.passes(SHORTEST)
    tries = circuit.begin()
    tries.answered()
    assert circuit.state == "closed"
    tries.failed()
    clock.passes(2 * SHORTEST - 0.1)
    assert circuit.state == "open"


def test_a_call_that_goes_well_to_its_end_makes_the_next_time_short_again(circuit: Circuit, clock: Clock) -> None:
    for _ in range(3):
        fails(circuit, IN_A_ROW)
        clock.passes(LONGEST)
    goes_well(circuit)
    fails(circuit, IN_A_ROW)
    clock.passes(SHORTEST)
    assert circuit.state == "half-open"


def test_calls_of_before_it_opened_change_nothing_any_more(circuit: Circuit, clock: Clock) -> None:
    old = [circuit.begin() for _ in range(20)]
    fails(circuit, IN_A_ROW)
    for one in old[:10]:
        one.failed()
    clock.passes(SHORTEST)
    assert circuit.state == "half-open"
    old[10].ended()
    old[11].failed()
    assert circuit.state == "half-open"
    goes_well(circuit)
    for one in old[12:]:
        one.failed()
    assert circuit.state == "closed"


def test_a_call_made_all_the_same_while_it_is_open_closes_it_if_it_goes_well(circuit: Circuit) -> None:
    fails(circuit, IN_A_ROW)
    fails(circuit, 3)
    assert (circuit.state, circuit.era) == ("open", 1)
    goes_well(circuit)
    assert circuit.state == "closed"


def test_a_sign_of_life_lets_it_be_tried_at_once(circuit: Circuit) -> None:
    circuit.hasten()
    assert circuit.state == "closed"
    fails(circuit, IN_A_ROW)
    circuit.hasten()
    assert circuit.state == "half-open"
    goes_well(circuit)
    assert circuit.state == "closed"


def test_what_a_call_says_twice_counts_once(circuit: Circuit) -> None:
    call = circuit.begin()
    for _ in range(2 * IN_A_ROW):
        call.failed()
    assert circuit.state == "closed"
