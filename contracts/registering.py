"""Back-ends of the registry as stores keep them: the key apart from the rest, and encrypted."""

from collections.abc import Callable
from dataclasses import dataclass, field

from contracts.errors import Unavailable
from contracts.ports.secrets import Cipher
from contracts.ports.stores import Backends
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


@dataclass(frozen=True)
class Registered:
    """What a registry holds, by name: the records, and why the others cannot be read."""

    sound: dict[str, RegisteredBackend] = field(default_factory=dict[str, RegisteredBackend])
    unreadable: dict[str, str] = field(default_factory=dict[str, str])


async def read_registry(registry: Backends) -> Registered:
    """All of it: a record that cannot be read hides no other. Raises Unavailable where the registry does not answer at all."""
    try:
        return Registered({one.settings.name: one for one in await registry.all()})
    except Unavailable:
        found = Registered()
    for name in await registry.names():
        try:
            one = await registry.get(name)
        except Unavailable as error:
            found.unreadable[name] = str(error)
            continue
        if one is not None:
            found.sound[name] = one
    return found


def _with_key(backend: RegisteredBackend, key: str | None) -> RegisteredBackend:
    return backend.model_copy(update={"settings": backend.settings.model_copy(update={"api_key": key})})
