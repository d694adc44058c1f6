"""Key files: made once, readable by their owner alone, never overwritten."""

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from infra.fernet.cipher import new_secrets_key
from infra.process.failures import CannotStart


def new_key() -> bytes:
    """A fresh Ed25519 private key as PEM."""
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def write_new(file: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file that did not exist. CannotStart where it does, or where its folder takes no files."""
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError as error:
        raise CannotStart(f"{file} exists and is not overwritten: name another file, or move that one away.") from error
    except OSError as error:
        raise CannotStart(f"{file} cannot be written: {error.strerror}.") from error
    with os.fdopen(handle, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())


def new_key_file(file: Path) -> None:
    """A new signing key in a new file of mode 0600."""
    write_new(file, new_key())


def kept_secrets_file(file: Path) -> Path:
    """The same file, made where it was missing: what the embedded platform encrypts the keys of back-ends with."""
    if not file.exists():
        write_new(file, new_secrets_key().encode() + b"\n")
    return file


def kept_key_file(file: Path) -> Path:
    """The same file, made where it was missing: the embedded platform's key."""
    if not file.exists():
        new_key_file(file)
    return file
