"""Which keys encrypt what stores are to keep secret."""

from pathlib import Path

from pydantic import PrivateAttr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from infra.fernet.cipher import SETTING, FernetCipher

HELP = "`ollamanet keys secrets FILE` makes such a file"


class SecretsSettings(BaseSettings):
    """`OLLAMANET_SECRETS_KEY_FILE`. A file that cannot be read, or has no keys, raises ValidationError."""

    model_config = SettingsConfigDict(env_prefix="OLLAMANET_", env_ignore_empty=True, frozen=True, extra="ignore")

    secrets_key_file: str | None = None
    """One or more keys, a line each: the first encrypts, all decrypt. None: nothing can be kept encrypted."""
    _cipher: FernetCipher = PrivateAttr(default_factory=lambda: FernetCipher(()))

    @model_validator(mode="after")
    def _can_be_read(self) -> "SecretsSettings":
        if self.secrets_key_file:
            try:
                self._cipher = cipher_of(Path(self.secrets_key_file), SETTING)
            except ValueError as error:
                raise ValueError(f"{SETTING}: {error}: {HELP}") from error
        return self

    @property
    def cipher(self) -> FernetCipher:
        """What encrypts and decrypts with these keys."""
        return self._cipher


def cipher_of(file: Path, where: str) -> FernetCipher:
    """The cipher of a file of keys, which sentences call `where`. Raises ValueError where it has none."""
    try:
        keys = file.read_text("ascii").split()
    except OSError as error:
        raise ValueError(f"{file} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is no file of keys") from error
    if not keys:
        raise ValueError(f"{file} has no key in it")
    try:
        return FernetCipher(keys, where)
    except ValueError as error:
        raise ValueError(f"{file} is no file of keys") from error
