"""What people do to the servers, and what they remember of it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from benchmarks.soak.fleet import MODELS, VERSIONS, Estate
from verifywise_mlflow_tests.seeding import model_name

Key: TypeAlias = tuple[str, str, int]
"""Tenant, model, version."""


@dataclass(slots=True)
class People:
    """Those who work in the servers, through their API."""

    estates: Sequence[Estate]
    chance: random.Random
    did: Counter[str] = field(default_factory=Counter)
    deleted: set[Key] = field(default_factory=set)
    _living: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    def change_something(self) -> None:
        """Do one of the things that people do, where a server is up to do it in."""
        up = [estate for estate in self.estates if estate.is_up]
        if not up:
            return
        estate = self.chance.choice(up)
        tenant, model = self.chance.choice(estate.tenants), model_name(self.chance.randrange(MODELS))
        numbers = self._living.setdefault((tenant, model), list(range(1, VERSIONS // MODELS + 1)))
        number = self.chance.choice(numbers)
        named = {"name": model, "version": str(number)}
        what = self.chance.choice(["tag", "tag", "description", "alias", "new version", "deletion"])
        value = f"{what} {self.chance.random()}"
        if what == "new version":
            answer = estate.ask("POST", "model-versions/create", tenant, {"name": model, "source": "s3://bucket/new"})
            made = answer["model_version"]
            assert isinstance(made, Mapping)
            numbers.append(int(made["version"]))
        elif what == "deletion" and len(numbers) > 1:
            estate.ask("DELETE", "model-versions/delete", tenant, named)
            numbers.remove(number)
            self.deleted.add((tenant, model, number))
        elif what == "description":
            estate.ask("PATCH", "model-versions/update", tenant, named | {"description": value})
        elif what == "alias":
            alias = self.chance.choice(["champion", "challenger"])
            estate.ask("POST", "registered-models/alias", tenant, named | {"alias": alias})
        else:
            what = "tag"
            estate.ask("POST", "model-versions/set-tag", tenant, named | {"key": "owner", "value": value})
        self.did[what] += 1
