"""Keys in a file, and what they encrypt."""

from pathlib import Path

import pytest

from contracts.errors import Conflict, Unavailable
from infra.fernet.cipher import FernetCipher, new_secrets_key
from infra.fernet.settings import SecretsSettings, cipher_of
from infra.process.failures import CannotStart, checked


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that the setting names; it is not there yet."""
    path = tmp_path / "secrets.key"
    monkeypatch.setenv("OLLAMANET_SECRETS_KEY_FILE", str(path))
    return path


@pytest.mark.parametrize("text", ["sk-1", "", "🦙" * 1000, "a\0b"], ids=["a key", "nothing", "long", "a zero"])
def test_what_was_encrypted_is_read_again_and_says_nothing_of_itself(text: str) -> None:
    cipher = FernetCipher([new_secrets_key()])
    hidden = cipher.encrypted(text)
    assert cipher.decrypted(hidden) == text
    assert hidden.isascii()
    assert not text or text not in hidden
    assert cipher.encrypted(text) != hidden


@pytest.mark.parametrize("wrong", ["", "sk-1", "gAAAAA", "🦙", None], ids=ascii)
def test_what_nobody_encrypted_is_unavailable(wrong: str) -> None:
    with pytest.raises(Unavailable, match="add that key as a line"):
        FernetCipher([new_secrets_key()]).decrypted(wrong)


def test_the_first_key_of_the_file_encrypts_and_all_decrypt(file: Path) -> None:
    old, new = new_secrets_key(), new_secrets_key()
    hidden = FernetCipher([old]).encrypted("sk-1")
    file.write_text(f"{new}\n{old}\n")
    cipher = checked(SecretsSettings).cipher
    assert cipher.decrypted(hidden) == "sk-1"
    assert FernetCipher([new]).decrypted(cipher.encrypted("sk-1")) == "sk-1"


def test_without_the_setting_nothing_is_encrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OLLAMANET_SECRETS_KEY_FILE", raising=False)
    cipher = checked(SecretsSettings).cipher
    with pytest.raises(Conflict, match="OLLAMANET_SECRETS_KEY_FILE is not set") as caught:
        cipher.encrypted("sk-1")
    assert caught.value.code == "no_secrets_key"
    with pytest.raises(Unavailable, match="OLLAMANET_SECRETS_KEY_FILE is not set"):
        cipher.decrypted(FernetCipher([new_secrets_key()]).encrypted("sk-1"))


@pytest.mark.parametrize("content", [None, b"", b"\n", b"sk-1", b"\xff\xfe", b"A" * 44], ids=ascii)
def test_a_file_that_has_no_keys_is_one_sentence(file: Path, content: bytes | None) -> None:
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(CannotStart, match=r"^OLLAMANET_SECRETS_KEY_FILE: .*ollamanet keys secrets FILE") as caught:
        checked(SecretsSettings)
    assert "sk-1" not in str(caught.value)


def test_a_good_line_does_not_excuse_a_wrong_one(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"{new_secrets_key()}\nwrong\n")
    with pytest.raises(ValueError, match="no file of keys"):
        cipher_of(file, "it")
