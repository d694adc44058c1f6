"""What must be true of a question afterwards, whatever died: seen = recorded = what the back-end said, once, and nothing is left."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tests.faults.watching import Watch

Kind = Literal["lost", "repeated", "stuck", "missed"]
"""`missed`: a figure that the long mode judges was not reached."""
STATUS = {"completed": "complete", "failed": "failed", "cancelled": "cancelled"}


@dataclass(frozen=True)
class Finding:
    """Something that is not as promised."""

    kind: Kind
    generation_id: str | None
    sentence: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.generation_id or 'a question that was not accepted'}: {self.sentence}"


@dataclass(frozen=True)
class Allowed:
    """What a fault may do to a question, beside nothing.

    ends: how it may end. calls: of the back-end, at most; None: as many as there were attempts. lost_log: Redis lost data, so
    that a run may be discarded, whose call nothing else explains. may_run: a refusal may have been wrong (the broker had it all the
    same). void: what was shown may be replaced through `restarted`.
    """

    ends: tuple[str, ...] = ("completed",)
    calls: int | None = None
    lost_log: bool = False
    may_run: bool = False
    void: bool = False


@dataclass(frozen=True)
class Account:
    """All that is known of one question. `replies`: as documents of the store. `calls`: of the back-end, probes left out."""

    watch: Watch
    replies: Sequence[Mapping[str, object]]
    calls: Sequence[Mapping[str, object]]
    allowed: Allowed = field(default_factory=Allowed)

    def findings(self) -> list[Finding]:
        """Everything that is wrong with it."""
        watch = self.watch
        if watch.accepted is None:
            return [*self._refused()]
        found = [*self._ids(), *self._outcome()]
        if len(self.replies) == 1 and watch.end is not None:
            found += [*self._text(self.replies[0]), *self._calls(self.replies[0])]
        return found

    def _finding(self, kind: Kind, sentence: str) -> Finding:
        return Finding(kind, self.watch.generation_id, sentence)

    def _refused(self) -> list[Finding]:
        """A question that was refused leaves nothing; one that got no answer may have been accepted, once."""
        watch = self.watch
        found: list[Finding] = []
        if watch.gave_up:
            found.append(self._finding("stuck", f"neither accepted nor refused: {watch.refusals[-3:]}"))
        tolerated = 1 if watch.unanswered or self.allowed.may_run else 0
        if len(self.replies) > tolerated:
            found.append(self._finding("repeated", f"refused, and recorded {len(self.replies)} times"))
        if len(self.calls) > tolerated:
            found.append(self._finding("repeated", f"refused, and run {len(self.calls)} times"))
        return found

    def _ids(self) -> list[Finding]:
        """Dense, each once; an event `restarted` without an id begins anew."""
        found: list[Finding] = []
        texts: dict[str, object] = {}
        following: int | None = None
        for one in self.watch.seen:
            event = one.event
            if event.name == "restarted" and not self.allowed.void:
                found.append(self._finding("lost", f"what was shown was void: {event.data}"))
            if event.id is None:
                following = 0 if event.name == "restarted" else following
                continue
            seq = int(event.id.partition("-")[2])
            if texts.setdefault(event.id, event.data) != event.data:
                found.append(self._finding("repeated", f"the id {event.id} stands for two events"))
            if following is not None and seq != following:
                kind: Kind = "repeated" if seq < following else "lost"
                found.append(
                    self._finding(kind, f"seq {seq} where {following} was to come (connection {one.connection})")
                )
            following = seq + 1
        return found

    def _outcome(self) -> list[Finding]:
        watch, found = self.watch, list[Finding]()
        ends = [one.event.name for one in watch.seen if one.event.name in STATUS]
        if not ends:
            found.append(self._finding("stuck", f"no end after {len(watch.seen)} events, {watch.refusals[-3:]}"))
        elif len(ends) > 1 or watch.seen[-1].event.name != ends[0]:
            found.append(self._finding("repeated", f"ends {ends}, the last event {watch.seen[-1].event.name}"))
        elif ends[0] not in self.allowed.ends:
            found.append(self._finding("lost", f"ended as {ends[0]}: {watch.seen[-1].event.data}"))
        if not self.replies:
            found.append(self._finding("lost", "not recorded"))
        elif len(self.replies) > 1:
            found.append(self._finding("repeated", f"recorded {len(self.replies)} times"))
        return found

    def _text(self, reply: Mapping[str, object]) -> list[Finding]:
        watch, found = self.watch, list[Finding]()
        assert watch.end is not None
        shown, recorded = watch.text, str(reply["content"])
        if reply["status"] != STATUS[watch.end.name]:
            found.append(self._finding("lost", f"shown as {watch.end.name}, recorded as {reply['status']}"))
        if shown != recorded:
            kind: Kind = "repeated" if len(shown) > len(recorded) else "lost"
            found.append(self._finding(kind, f"shown {shown!r}, recorded {recorded!r}"))
        whole = expected(watch)
        right = recorded == whole if watch.end.name == "completed" else whole.startswith(recorded)
        if not right:
            found.append(self._finding("repeated" if len(recorded) > len(whole) else "lost", f"recorded {recorded!r}"))
        return found

    def _calls(self, reply: Mapping[str, object]) -> list[Finding]:
        """No call that no attempt explains, and a text that one of them said, from where it went on."""
        attempts = int(str(reply.get("attempt") or 0))
        most = attempts if self.allowed.calls is None else self.allowed.calls
        found: list[Finding] = []
        if len(self.calls) > most + self.allowed.lost_log:
            found.append(self._finding("repeated", f"{len(self.calls)} calls in {attempts} attempts"))
        text = str(reply["content"])
        if text and not any(_said(call, text, reply["status"] == "complete") for call in self.calls):
            found.append(self._finding("lost", f"no call said {text!r}"))
        return found


def expected(watch: Watch) -> str:
    """What the fake back-end says to this question when it may say all of it."""
    if watch.model == "small":
        return f"[1 messages] You said: {watch.content}"
    most = {"slow": 400, "fast": 64}.get(watch.model, 100)
    return "".join(f"{number} " for number in range(watch.max_tokens or most))


def _said(call: Mapping[str, object], text: str, whole: bool) -> bool:
    """Whether this call explains that text: what it went on from, and what it said."""
    said = str(call["text"])
    if call.get("continued"):
        before = str(call["messages"][-1]["content"])  # type: ignore[index]
        if not text.startswith(before):
            return False
        rest = text[len(before) :]
        return rest.strip() == said.strip() if whole else said.strip().startswith(rest.strip())
    return said == text if whole else said.startswith(text)
