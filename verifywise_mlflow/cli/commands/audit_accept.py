"""``verifywise-mlflow audit accept-states``: let syncs commit again after a person has investigated refused states."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from verifywise_mlflow.cli.audit_trail import TrailOf, refuse_unknown
from verifywise_mlflow.cli.command_catalog import MISUSED
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.output import AsJson, fail, out, print_json
from verifywise_mlflow.common.untrusted_text import escape_invisible, has_visible_character, quote
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.audit_signing import signing_key

if TYPE_CHECKING:
    from verifywise_mlflow.services.states_acceptance import Acceptance


def accept_states(
    tenant: TrailOf,
    reason: Annotated[
        str,
        typer.Option(metavar="TEXT", help="What was found out about these states. The trail keeps it, for everybody."),
    ],
    as_json: AsJson = False,
) -> None:
    """Accept the states that syncs refuse to commit, since no sync wrote them. Investigate them first.

    An entry names you, the reason and the positions in the log of states. From then on, syncs commit their states
    again. audit verify --records and proofs continue to state that a person accepted these states.
    """
    if not has_visible_character(reason):
        fail("--reason is empty: say what was found out about these states", MISUSED, as_json)
    with exit_on_errors(as_json), Store(database_url()) as store:
        from verifywise_mlflow.services import states_acceptance

        with store.begin(tenant) as session:
            refuse_unknown(session, as_json)
        acceptance = states_acceptance.accept_states(store, tenant, reason, datetime.now(UTC), signing_key())
    if as_json:
        print_json(_as_json(tenant, acceptance))
    else:
        _print(acceptance)


def _as_json(tenant: str, acceptance: Acceptance) -> dict[str, object]:
    return {
        "tenant": tenant,
        **acceptance.accepted.to_json(),
        "count": acceptance.count,
        "writers": [asdict(write) for write in acceptance.writers],
        "checkpoint": acceptance.checkpoint and acceptance.checkpoint.to_json_line(),
    }


def _print(acceptance: Acceptance) -> None:
    accepted = acceptance.accepted
    lines = [
        f"entry {accepted.entry:,} accepts {acceptance.count:,} states, at positions {accepted.first:,} to "
        f"{accepted.last:,} of the log:"
    ]
    for write in acceptance.writers:
        writer = f"the sync {quote(write.sync_id)}" if write.sync_id else "a command"
        lines.append(
            f"- {write.count:,} of the kind {quote(write.kind)} in the name of {writer}, positions {write.first:,} to "
            f"{write.last:,}"
        )
    lines.append("The next sync commits its states again. audit verify --records goes on naming these.")
    if acceptance.checkpoint:
        lines.append(acceptance.checkpoint.to_json_line())
    for line in lines:
        out.print(escape_invisible(line), markup=False, highlight=False, soft_wrap=True)
