"""Certificates that people give."""

from pathlib import Path

import pytest

from contracts.certificates import LONGEST_PEM, checked_certificates
from tests.unit.backends.certificates import new_authority


def test_one_or_more_certificates_are_taken_as_they_are(tmp_path: Path) -> None:
    pem = new_authority(tmp_path).pem
    for given in (pem, pem + new_authority(tmp_path).pem, f"A comment\n{pem}"):
        assert checked_certificates(given) == given


@pytest.mark.parametrize(
    "wrong", ["", "x", "é", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"], ids=ascii
)
def test_what_holds_no_certificate_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="no certificate"):
        checked_certificates(wrong)


def test_there_is_an_end_to_them(tmp_path: Path) -> None:
    pem = new_authority(tmp_path).pem
    with pytest.raises(ValueError, match="characters"):
        checked_certificates(pem * (LONGEST_PEM // len(pem) + 1))
