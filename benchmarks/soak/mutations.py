"""Changes that users make in the servers, and a record of them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from benchmarks.soak.fleet import MODELS, VERSIONS, FleetServer
from verifywise_mlflow_tests.seeding import model_name

Key: TypeAlias = tuple[str, str, int]
"""Tenant, model, version."""


@dataclass(slots=True)
class Mutator:
    """Users who change the servers through their API."""

    fleet: Sequence[FleetServer]
    random: random.Random
    counts: Counter[str] = field(default_factory=Counter)
    deleted: set[Key] = field(default_factory=set)
    _living: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    def mutate(self) -> None:
        """Make one random change in a running server."""
        up = [estate for estate in self.fleet if estate.is_up]
        if not up:
            return
        estate = self.random.choice(up)
        tenant, model = self.random.choice(estate.tenants), model_name(self.random.randrange(MODELS))
        numbers = self._living.setdefault((tenant, model), list(range(1, VERSIONS // MODELS + 1)))
        number = self.random.choice(numbers)
        named = {"name": model, "version": str(number)}
        what = self.random.choice(["tag", "tag", "description", "alias", "new version", "deletion"])
        value = f"{what} {self.random.random()}"
        if what == "new version":
            answer = estate.call_api(
                "POST", "model-versions/create", tenant, {"name": model, "source": "s3://bucket/new"}
            )
            made = answer["model_version"]
            assert isinstance(made, Mapping)
            numbers.append(int(made["version"]))
        elif what == "deletion" and len(numbers) > 1:
            estate.call_api("DELETE", "model-versions/delete", tenant, named)
            numbers.remove(number)
            self.deleted.add((tenant, model, number))
        elif what == "description":
            estate.call_api("PATCH", "model-versions/update", tenant, named | {"description": value})
        elif what == "alias":
            alias = self.random.choice(["champion", "challenger"])
            estate.call_api("POST", "registered-models/alias", tenant, named | {"alias": alias})
        else:
            what = "tag"
            estate.call_api("POST", "model-versions/set-tag", tenant, named | {"key": "owner", "value": value})
        self.counts[what] += 1
