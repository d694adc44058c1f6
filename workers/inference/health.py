"""One back-end as this worker's own calls find it."""

import math
import time
from collections.abc import Callable, Set
from typing import Literal

from contracts.errors import BackendFailed
from workers.inference.circuit import WITHIN, Call, Circuit, Clock, State

FAULTS = (
    "backend_unreachable",
    "backend_error",
    "backend_cut",
    "backend_garbage",
    "first_token_timeout",
    "token_timeout",
)
"""Codes that a back-end answers for, where they may be tried again; what cannot is the caller's own."""
MODELS = 200
"""Circuits of models that are kept; closed ones are forgotten first."""

Standing = Literal["ready", "shunned", "away"]
"""`away`: nothing is sent there. `shunned`: it fails with this model, so only where no other one has it."""

Changed = Callable[[str | None, State], None]
"""Told which circuit changed: of that model, or (None) of the whole back-end."""


class Health:
    """Two kinds of circuits: the back-end's own, and one for each model that it runs.

    A model that crashes on every question, which anybody may ask as often as he likes, must not take the others of its server
    along. So a failure counts for the model, unless nobody listens there. The back-end's own opens too where all that is known of it is
    failures: none of its models has answered for half a minute and two of them, or the only one that it has, fail.
    """

    def __init__(self, changed: Changed, clock: Clock = time.monotonic) -> None:
        self._changed = changed
        self._clock = clock
        self._models: dict[str, Circuit] = {}
        self._answered_at = -math.inf
        self._unreachable = False
        self.lists: Set[str] = frozenset()
        """The models that it says it has."""
        self.server = Circuit(clock, lambda state: changed(None, state))

    def standing(self, model: str) -> Standing:
        """What can be asked of it about this model now."""
        if self.server.blocked:
            return "away"
        circuit = self._models.get(model)
        return "shunned" if circuit is not None and circuit.blocked else "ready"

    def begin(self, model: str) -> "Attempt":
        """A call is made."""
        return Attempt(self, self.server.begin(), self._circuit(model).begin())

    def reachable(self) -> None:
        """It has told what it has: where nobody listened there, somebody does now."""
        if self._unreachable:
            self.server.hasten()

    def answered(self) -> None:
        """Some model works there."""
        self._answered_at = self._clock()

    def failed(self, *, unreachable: bool, tried: bool) -> None:
        """A call has failed and was counted. tried: it was the one that tried the back-end."""
        if unreachable or tried:
            self._unreachable = unreachable
        elif self.server.state == "closed" and self._all_fails():
            self._unreachable = False
            self.server.open()

    def _all_fails(self) -> bool:
        if self._clock() - self._answered_at < WITHIN:
            return False
        failing = {name for name, circuit in self._models.items() if circuit.state == "open"}
        return len(failing) > 1 or (len(failing) == 1 and self.lists == failing)

    def _circuit(self, model: str) -> Circuit:
        if model not in self._models:
            if len(self._models) >= MODELS:
                self._models = {name: one for name, one in self._models.items() if one.state != "closed"}
            self._models[model] = Circuit(self._clock, lambda state: self._changed(model, state))
        return self._models[model]


class Attempt:
    """One call, as both of its circuits learn of it. Said twice is once."""

    def __init__(self, health: Health, server: Call, model: Call) -> None:
        self._health = health
        self._server = server
        self._model = model

    def answered(self) -> None:
        """Its first token came."""
        self._health.answered()
        self._server.answered()
        self._model.answered()

    def ended(self) -> None:
        """It went well."""
        self._health.answered()
        self._server.ended()
        self._model.ended()

    def failed(self, error: BackendFailed) -> None:
        """Whoever's fault it is."""
        if not error.retryable:  # it is there, and works
            self._server.answered()
            self._model.answered()
        elif error.code in FAULTS:
            unreachable = error.code == "backend_unreachable"
            if unreachable or self._server.tries:
                self._server.failed()
            if not unreachable:
                self._model.failed()
            self._health.failed(unreachable=unreachable, tried=self._server.tries)
        self.let_go()

    def let_go(self) -> None:
        """It is over, or was never made."""
        self._server.let_go()
        self._model.let_go()
