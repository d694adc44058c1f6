"""Back-ends of the registry as stores keep them: the key apart from the rest, and encrypted."""

from collections.abc import Callable

from contracts.errors import Unavailable
from contracts.ports.secrets import Cipher
from contracts.records import RegisteredBackend


def parted(backend: RegisteredBackend, cipher: Cipher) -> tuple[RegisteredBackend, str | None]:
    """The record without its key, and the key encrypted. Raises Conflict("no_secrets_key")."""
    key = backend.settings.api_key
    return _with_key(backend, None), None if key is None else cipher.encrypted(key)


def joined(name: str, read: Callable[[], RegisteredBackend], hidden: str | None, cipher: Cipher) -> RegisteredBackend:
    """The record again. `read` gives it without its key; what that raises, and a key that cannot be read, is Unavailable."""
    try:
        kept = read()
    except (ValueError, TypeError, KeyError) as error:
        raise Unavailable(f"The record of the back-end {name!r} cannot be read: remove it, and add it anew.") from error
    if hidden is None:
        return kept
    try:
        return _with_key(kept, cipher.decrypted(hidden))
    except Unavailable as error:
        raise Unavailable(f"The key of the back-end {name!r} cannot be read. {error}") from error


def _with_key(backend: RegisteredBackend, key: str | None) -> RegisteredBackend:
    return backend.model_copy(update={"settings": backend.settings.model_copy(update={"api_key": key})})
