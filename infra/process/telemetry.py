"""OpenTelemetry of a process. Without its own variables nothing is recorded and nothing of the SDK is imported."""

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager

from infra.process.failures import CannotStart

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_EXPORTERS = ("otlp", "console", "none")


@contextmanager
def recording(service: str, environment: Mapping[str, str] = os.environ) -> Generator[None, None, None]:
    """Export traces while inside, where OTEL_TRACES_EXPORTER (otlp, console, none) or OTEL_EXPORTER_OTLP_ENDPOINT asks for it.

    W3C trace context is passed on in any case: it is the API's own default. Leaving sends what is still held.
    """
    exporter = _wanted(environment)
    if exporter == "none":
        yield
        return
    provider = _provider(service, exporter, environment)
    try:
        yield
    finally:
        provider.shutdown()


def _wanted(environment: Mapping[str, str]) -> str:
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return "none"
    named = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if named and named not in _EXPORTERS:
        raise CannotStart(f"OTEL_TRACES_EXPORTER should be one of {', '.join(_EXPORTERS)}, not {named!r}.")
    if named:
        return named
    return "otlp" if any(environment.get(name) for name in _ENDPOINTS) else "none"


def _provider(service: str, exporter: str, environment: Mapping[str, str]):
    from opentelemetry import trace
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

    name = environment.get("OTEL_SERVICE_NAME") or f"ollamanet-{service}"
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: name}))
    if exporter == "console":
        provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter()))
    else:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return provider
