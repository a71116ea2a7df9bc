"""A tenant's MLflow server that blocks a sync in the middle until the test releases it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from verifywise_mlflow_tests.support.proxy import Exchange, Fault, FaultContext, Proxy, proxy_before


@dataclass(slots=True)
class SlowServer:
    """A tenant's MLflow server that does not respond to one request until it is released."""

    proxy: Proxy
    is_reached: threading.Event = field(default_factory=threading.Event)
    is_released: threading.Event = field(default_factory=threading.Event)

    def tenant_settings(self, workspace: str) -> dict[str, object]:
        """Return the settings of a tenant whose registry is a workspace of this server."""
        return {
            "tracking_uri": self.proxy.uri,
            "workspace": workspace,
            "allow_private_network": True,
            "artifacts": {"sandbox": "best_effort"},
        }

    def hold(self) -> None:
        """Hold the next requests for versions. The sync has stored the models by then, and has its tenant's lock."""
        self.is_reached.clear()
        self.is_released.clear()
        self.proxy.fault = self._choose

    def release(self) -> None:
        self.proxy.fault = lambda _: None
        self.is_released.set()

    def _choose(self, exchange: Exchange) -> Fault | None:
        return self._wait if exchange.kind.endswith("model-versions/search") else None

    def _wait(self, context: FaultContext) -> None:
        self.is_reached.set()
        self.is_released.wait()
        context.reply(context.forward())


@contextmanager
def slow_server(uri: str) -> Iterator[SlowServer]:
    """Hold the requests to a server until the first release, or the end of the block."""
    with proxy_before(uri) as proxy:
        slow = SlowServer(proxy)
        slow.hold()
        try:
            yield slow
        finally:
            slow.release()
