"""What can go wrong, as types that carry their verdict.

    OllamaNetError
    ├── Transient            retried in place while the delivery is held, then dead-lettered
    │   └── Unavailable      a server of ours does not answer (edge: 503)
    ├── Permanent            dead-lettered at once
    │   ├── UnknownModel     (edge: 404)
    │   ├── ContextTooLong   (edge: 413)
    │   └── ContractViolated
    ├── HandOver             give the delivery back for somebody else, now
    ├── Overloaded           the queue is full (edge: 503 + Retry-After)
    ├── Unroutable           nobody owns this command (edge: 503 + Retry-After)
    ├── NotFound · Conflict · NotPermitted · RateLimited     (edge only)
    ├── LogMissing           a generation has no log
    └── BackendFailed        a model's server failed; `code` as on the public wire

Handlers raise and never ack; the bus adapter turns these into verdicts, `api/errors.py` into HTTP.
"""


class OllamaNetError(Exception):
    """Something of ours went wrong; the message is a sentence for people."""


class Transient(OllamaNetError):
    """Trying again later may help."""


class Unavailable(Transient):
    """A server that this process needs does not answer."""


class Permanent(OllamaNetError):
    """Trying again cannot help."""


class UnknownModel(Permanent):
    """No model of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no model named {name!r}.")
        self.name = name


class ContextTooLong(Permanent):
    """The question alone does not fit the model's context."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The question does not fit this model's context of {limit} tokens.")
        self.limit = limit


class ContractViolated(Permanent):
    """A message that is not of its contract's shape."""


class HandOver(OllamaNetError):
    """This process stops: somebody else is to take the delivery."""


class Overloaded(OllamaNetError):
    """The queue is full and takes nothing more now. `retry_after_ms`: when it probably will; None where nobody can tell."""

    def __init__(self, message: str, retry_after_ms: int | None = None) -> None:
        super().__init__(message)
        self.retry_after_ms = retry_after_ms


class Unroutable(OllamaNetError):
    """No queue takes this command: no worker ever served it here."""


class NotFound(OllamaNetError):
    """There is no such thing, or it is somebody else's."""


class Conflict(OllamaNetError):
    """The state of things forbids it; `code` as on the public wire."""

    def __init__(self, code: str, message: str, **extra: object) -> None:
        super().__init__(message)
        self.code = code
        self.extra = extra


class NotPermitted(OllamaNetError):
    """The caller lacks the role or scope."""


class RateLimited(OllamaNetError):
    """Too many calls in too short a time; `retry_after_ms` says when the next one is welcome."""

    def __init__(self, retry_after_ms: int, message: str = "Too many requests.") -> None:
        super().__init__(message)
        self.retry_after_ms = retry_after_ms


class LogMissing(OllamaNetError):
    """The generation has no log: it never had one, it expired, or Redis lost it."""


class BackendFailed(OllamaNetError):
    """A back-end failed; `code` is one of FAILURE_CODES in contracts.generation or contracts.embeddings.

    `retryable`: another try, there or elsewhere, may succeed (false for a back-end's own 4xx).
    """

    def __init__(self, code: str, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.code = code
        self.retryable = retryable
