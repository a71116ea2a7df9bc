"""Whether telemetry is exported, according to the standard OTEL_* variables. OpenTelemetry is not imported.

Without these variables, telemetry is off.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

Signal = Literal["traces", "metrics"]

PROTOCOL: Final = "http/protobuf"
"""The only OTLP protocol that the extra ``otel`` installs. The protocol ``grpc`` would add libraries of 15 MB."""


def is_exported(signal: Signal, environment: Mapping[str, str]) -> bool:
    """Return whether the environment requests a signal that can be exported."""
    return _is_requested(signal, environment) and export_problem(signal, environment) is None


def export_problem(signal: Signal, environment: Mapping[str, str]) -> str | None:
    """Return why a requested signal is not exported; None if it is exported or not requested."""
    if not _is_requested(signal, environment):
        return None
    exporter_variable = f"OTEL_{signal.upper()}_EXPORTER"
    exporter = environment.get(exporter_variable, "").strip() or "otlp"
    if exporter != "otlp":
        return f"{exporter_variable} is {exporter!r}, which is not supported: set it to otlp or none"
    for variable in (f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        protocol = environment.get(variable, "").strip()
        if protocol and protocol != PROTOCOL:
            return f"{variable} is {protocol!r}, which is not supported: set it to {PROTOCOL}, usually with port 4318"
        if protocol:
            break  # the signal's own variable wins
    return None


def _is_requested(signal: Signal, environment: Mapping[str, str]) -> bool:
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = environment.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip()
    if exporter:
        return exporter != "none"
    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
    return any(environment.get(name, "").strip() for name in endpoints)
