"""Which keys encrypt what stores are to keep secret."""

from pathlib import Path

from pydantic import PrivateAttr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from infra.fernet.cipher import SETTING, FernetCipher

HELP = "`ollamanet keys secrets FILE` makes one"


class SecretsSettings(BaseSettings):
    """`OLLAMANET_SECRETS_KEY_FILE`. A file that cannot be read, or has no keys, raises ValidationError."""

    model_config = SettingsConfigDict(env_prefix="OLLAMANET_", env_ignore_empty=True, frozen=True, extra="ignore")

    secrets_key_file: str | None = None
    """One or more keys, a line each: the first encrypts, all decrypt. None: nothing can be kept encrypted."""
    _cipher: FernetCipher = PrivateAttr(default_factory=lambda: FernetCipher(()))

    @model_validator(mode="after")
    def _can_be_read(self) -> "SecretsSettings":
        if self.secrets_key_file:
            self._cipher = cipher_of(Path(self.secrets_key_file), SETTING)
        return self

    @property
    def cipher(self) -> FernetCipher:
        """What encrypts and decrypts with these keys."""
        return self._cipher


def cipher_of(file: Path, where: str) -> FernetCipher:
    """The cipher of a file of keys; `where` names it for people. Raises ValueError with a sentence."""
    try:
        keys = file.read_text("ascii").split()
    except OSError as error:
        raise ValueError(f"{where} names {file}, which cannot be read ({error.strerror}): {HELP}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{where} names {file}, which is no file of keys: {HELP}") from error
    if not keys:
        raise ValueError(f"{where} names {file}, which is empty: {HELP}")
    try:
        return FernetCipher(keys, where)
    except ValueError as error:
        raise ValueError(f"{where} names {file}, which is no file of keys: {HELP}") from error
