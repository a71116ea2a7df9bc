"""Changes that users make in the servers, and a record of them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from benchmarks.soak.fleet import MODELS, VERSIONS, FleetServer
from verifywise_mlflow_tests.support.seeding import model_name

Key: TypeAlias = tuple[str, str, int]
"""Tenant, model and version."""


@dataclass(slots=True)
class Mutator:
    """Simulates users who change the servers through their API."""

    fleet: Sequence[FleetServer]
    random: random.Random
    counts: Counter[str] = field(default_factory=Counter)
    deleted: set[Key] = field(default_factory=set)
    _living: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    def mutate(self) -> None:
        """Make one random change in a running server."""
        running_servers = [server for server in self.fleet if server.is_up]
        if not running_servers:
            return
        server = self.random.choice(running_servers)
        tenant, model = self.random.choice(server.tenants), model_name(self.random.randrange(MODELS))
        numbers = self._living.setdefault((tenant, model), list(range(1, VERSIONS // MODELS + 1)))
        number = self.random.choice(numbers)
        named = {"name": model, "version": str(number)}
        change = self.random.choice(["tag", "tag", "description", "alias", "new version", "deletion"])
        value = f"{change} {self.random.random()}"
        if change == "new version":
            response = server.call_api(
                "POST", "model-versions/create", tenant, {"name": model, "source": "s3://bucket/new"}
            )
            created = response["model_version"]
            assert isinstance(created, Mapping)
            numbers.append(int(created["version"]))
        elif change == "deletion" and len(numbers) > 1:
            server.call_api("DELETE", "model-versions/delete", tenant, named)
            numbers.remove(number)
            self.deleted.add((tenant, model, number))
        elif change == "description":
            server.call_api("PATCH", "model-versions/update", tenant, named | {"description": value})
        elif change == "alias":
            alias = self.random.choice(["champion", "challenger"])
            server.call_api("POST", "registered-models/alias", tenant, named | {"alias": alias})
        else:
            change = "tag"
            server.call_api("POST", "model-versions/set-tag", tenant, named | {"key": "owner", "value": value})
        self.counts[change] += 1
