"""What is kept so that its store alone does not tell it."""

from typing import Protocol


class Cipher(Protocol):
    """Encrypts short texts, and reads them again."""

    def encrypted(self, text: str) -> str:
        """Another one each time. Raises Conflict("no_secrets_key") where this process was given no key."""
        ...

    def decrypted(self, hidden: str) -> str:
        """The text again. Raises Unavailable, which says what to mend, where no key of this process reads it."""
        ...
