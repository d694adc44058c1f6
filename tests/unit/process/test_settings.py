"""Settings from the environment, and what is said when one is wrong."""

from pathlib import Path
from typing import Self

import pytest
from pydantic import BaseModel, model_validator

from infra.process.failures import CannotStart, checked
from infra.process.settings import ProcessSettings, read_secret_files
from infra.process.telemetry import recording


def test_empty_variables_count_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMANET_OPS_PORT", "")
    monkeypatch.setenv("OLLAMANET_LOG_LEVEL", "WARNING")
    settings = checked(ProcessSettings)
    assert (settings.ops_port, settings.log_level) == (None, "warning")


def test_a_sentence_names_every_wrong_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMANET_OPS_PORT", "-1")
    monkeypatch.setenv("OLLAMANET_DRAIN", "soon")
    with pytest.raises(CannotStart) as refused:
        checked(ProcessSettings)
    assert str(refused.value) == (
        "OLLAMANET_OPS_PORT is wrong: it should be greater than or equal to 0, not '-1'; "
        "OLLAMANET_DRAIN is wrong: it should be a valid number, unable to parse string as a number, not 'soon'."
    )


def test_a_rule_about_several_settings_speaks_for_itself() -> None:
    class Paired(BaseModel):
        @model_validator(mode="after")
        def _rule(self) -> Self:
            raise ValueError("OLLAMANET_A needs OLLAMANET_B")

    with pytest.raises(CannotStart, match=r"^OLLAMANET_A needs OLLAMANET_B\.$"):
        checked(Paired)


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("redis://:secret@redis\n")
    environment = {"OLLAMANET_REDIS_URL_FILE": str(tmp_path / "url")}
    read_secret_files(environment)
    assert environment["OLLAMANET_REDIS_URL"] == "redis://:secret@redis"


def test_a_value_goes_before_its_file(tmp_path: Path) -> None:
    environment = {"OLLAMANET_REDIS_URL_FILE": str(tmp_path / "missing"), "OLLAMANET_REDIS_URL": "redis://here"}
    read_secret_files(environment)
    assert environment["OLLAMANET_REDIS_URL"] == "redis://here"


def test_a_secret_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=r"OLLAMANET_MONGO_URL_FILE names .*missing, which cannot be read"):
        read_secret_files({"OLLAMANET_MONGO_URL_FILE": str(tmp_path / "missing")})


def test_without_opentelemetrys_variables_nothing_is_recorded() -> None:
    from opentelemetry import trace

    with recording("edge", {}):
        assert trace.get_tracer("test").start_span("x").is_recording() is False


def test_an_unknown_exporter_is_one_sentence() -> None:
    with (
        pytest.raises(CannotStart, match="OTEL_TRACES_EXPORTER should be one of"),
        recording("edge", {"OTEL_TRACES_EXPORTER": "x"}),
    ):
        pass
