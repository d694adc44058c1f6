"""`Cipher` by Fernet: AES-128-CBC with HMAC-SHA256."""

from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from contracts.errors import Conflict, Unavailable
from contracts.ports.secrets import Cipher

SETTING = "OLLAMANET_SECRETS_KEY_FILE"


def new_secrets_key() -> str:
    """A fresh key: 32 bytes as URL-safe base64."""
    return Fernet.generate_key().decode()


class FernetCipher(Cipher):
    """The first of `keys` encrypts, all decrypt: that is how they are rotated. None at all: nothing can be encrypted.

    `where`: the setting, or the file, that the keys come from. Raises ValueError for what is no key.
    """

    def __init__(self, keys: Sequence[str], where: str = SETTING) -> None:
        self._keys = MultiFernet([Fernet(one) for one in keys]) if keys else None
        self._where = where

    def encrypted(self, text: str) -> str:
        if self._keys is None:
            raise Conflict(
                "no_secrets_key",
                f"This platform keeps no secrets, for {self._where} is not set: `ollamanet keys secrets FILE` makes such a file.",
            )
        return self._keys.encrypt(text.encode()).decode()

    def decrypted(self, hidden: str) -> str:
        if self._keys is None:
            raise Unavailable(f"It is encrypted, and {self._where} is not set in this process.")
        try:
            return self._keys.decrypt(hidden).decode()
        except (InvalidToken, TypeError, ValueError) as error:  # whatever somebody put there
            raise Unavailable(
                f"It was encrypted with a key that {self._where} does not hold: add that key as a line."
            ) from error
