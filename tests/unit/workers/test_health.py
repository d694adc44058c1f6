"""What a worker thinks of a back-end by its calls: the whole of it, or one of its models."""

import pytest

from contracts.errors import BackendFailed
from tests.unit.workers.test_circuit import Clock
from workers.inference.circuit import IN_A_ROW, SHORTEST, WITHIN, State
from workers.inference.health import FAULTS, MODELS, Health

Changes = list[tuple[str | None, State]]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def changes() -> Changes:
    return []


@pytest.fixture
def health(clock: Clock, changes: Changes) -> Health:
    made = Health(lambda model, state: changes.append((model, state)), clock)
    made.lists = frozenset({"small", "large"})
    return made


def fails(health: Health, model: str, code: str, times: int = IN_A_ROW, *, retryable: bool = True) -> None:
    for _ in range(times):
        attempt = health.begin(model)
        attempt.failed(BackendFailed(code, "It failed.", retryable=retryable))
        attempt.let_go()


def goes_well(health: Health, model: str) -> None:
    attempt = health.begin(model)
    attempt.answered()
    attempt.ended()
    attempt.let_go()


def test_where_nobody_listens_nothing_is_sent_whatever_the_model(health: Health, changes: Changes) -> None:
    goes_well(health, "small")
    fails(health, "small", "backend_unreachable")
    assert (health.standing("small"), health.standing("large")) == ("away", "away")
    assert changes == [(None, "open")]


@pytest.mark.parametrize("code", [one for one in FAULTS if one != "backend_unreachable"])
def test_a_model_that_fails_does_not_take_the_others_along(health: Health, changes: Changes, code: str) -> None:
    goes_well(health, "large")
    fails(health, "small", code)
    assert (health.standing("small"), health.standing("large")) == ("shunned", "ready")
    assert changes == [("small", "open")]
    assert health.server.state == "closed"


def test_a_back_end_whose_only_model_fails_is_away(health: Health, changes: Changes) -> None:
    health.lists = frozenset({"small"})
    fails(health, "small", "backend_error")
    assert health.standing("small") == "away"
    assert changes == [("small", "open"), (None, "open")]


def test_a_back_end_of_which_only_failures_are_known_is_away(health: Health, clock: Clock) -> None:
    goes_well(health, "large")
    fails(health, "small", "backend_cut")
    fails(health, "large", "backend_cut")
    assert health.server.state == "closed"  # it has answered a moment ago
    clock.passes(WITHIN)
    fails(health, "small", "token_timeout")
    fails(health, "large", "backend_garbage")
    assert health.standing("another") == "away"


@pytest.mark.parametrize(
    ("code", "retryable"),
    [
        ("backend_error", False),
        ("context_too_long", False),
        ("model_cannot_embed", False),
        ("generation_timeout", True),
    ],
)
def test_what_is_the_callers_own_fault_opens_nothing(health: Health, code: str, *, retryable: bool) -> None:
    fails(health, "small", code, 50, retryable=retryable)
    assert health.standing("small") == "ready"


def test_a_refusal_shows_that_it_is_there(health: Health, clock: Clock) -> None:
    fails(health, "small", "backend_unreachable")
    clock.passes(SHORTEST)
    fails(health, "small", "backend_error", 1, retryable=False)
    assert health.standing("small") == "ready"


def test_whatever_fails_the_call_that_tries_it_leaves_it_away(health: Health, clock: Clock) -> None:
    fails(health, "small", "backend_unreachable")
    clock.passes(SHORTEST)
    fails(health, "small", "first_token_timeout", 1)
    clock.passes(SHORTEST)
    assert health.server.state == "open"


def test_where_nobody_listened_a_list_of_models_is_reason_to_try(health: Health, clock: Clock) -> None:
    fails(health, "small", "backend_unreachable")
    health.reachable()
    assert health.standing("small") == "ready"
    attempt = health.begin("small")
    assert health.standing("large") == "away"
    attempt.answered()
    assert health.standing("large") == "ready"


def test_where_models_failed_a_list_of_them_tells_nothing_new(health: Health) -> None:
    health.lists = frozenset({"small"})
    fails(health, "small", "backend_error")
    health.reachable()
    assert health.standing("small") == "away"


def test_no_number_of_models_makes_it_grow_for_ever(health: Health) -> None:
    fails(health, "broken", "backend_error")
    for number in range(5 * MODELS):
        goes_well(health, f"model-{number}")
    assert len(health._models) <= MODELS
    assert health.standing("broken") == "shunned"
