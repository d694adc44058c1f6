"""What the page weighs."""

from pathlib import Path

LARGEST = 150_000
"""Bytes, compressed as the edge serves them, without the colours of single languages."""


def test_the_page_is_small(built_page: Path) -> None:
    files = sorted((built_page / "assets" / "web").iterdir())
    plain = [one.name for one in files if one.suffix in (".js", ".css")]
    zipped = {one.name: one.stat().st_size for one in files if one.suffix == ".gz"}
    assert sorted(zipped) == sorted(f"{name}.gz" for name in plain)
    languages = [name for name in zipped if name.startswith("language-")]
    assert len(languages) > 20
    whole = sum(zipped.values()) - sum(zipped[name] for name in languages)
    assert 10_000 < whole + (built_page / "index.html").stat().st_size <= LARGEST


def test_nothing_of_it_comes_from_elsewhere(built_page: Path) -> None:
    page = (built_page / "index.html").read_text()
    assert "://" not in page
    assert "<script>" not in page
    assert "style=" not in page
