"""What the help of each command ends with: an example, what a program gets from it, what its exit codes mean.

One table, so that docs/cli.md and ``--help`` cannot tell different things. Examples are tried by a test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

DONE, FAILED, MISUSED, INTERRUPTED, NOT_READ = 0, 1, 2, 130, 141

EXIT_CODES: Mapping[int, str] = {
    DONE: "done",
    FAILED: "the server or the database could not be used, what was asked for is not there, or the output has no room",
    MISUSED: "the command, tenants.yaml, a key or a file that it was given is wrong",
    INTERRUPTED: "Ctrl-C, SIGTERM or a terminal that was closed",
    NOT_READ: "whoever read the output, such as head, hung up before its end",
}
"""Of every command. 130 and 141 are what shells report for a program that SIGINT or SIGPIPE ended."""


@dataclass(frozen=True, slots=True)
class Guide:
    """What there is to know of one command."""

    example: str = ""
    """Its arguments, as somebody would write them."""
    needs: str = "the database"
    """What it cannot do without, of ``VERIFYWISE_TENANTS`` (tenants.yaml) and ``VERIFYWISE_DATABASE_URL``."""
    writes: str = ""
    """What it changes; most commands change nothing."""
    failed: str = ""
    """When else it ends with 1 than where the server or the database could not be used."""
    written: str = ""
    """What a program gets from a command without ``--json``."""

    def epilog(self, path: str) -> str:
        """Return the end of the command's help, a paragraph a line."""
        lines = [
            f"Example: verifywise-mlflow {path} {self.example}".rstrip(),
            f"Needs {self.needs}. Changes {self.writes or 'nothing'}.",
            f"Exit codes: {DONE} {EXIT_CODES[DONE]}; {FAILED} {self.failed or self.failing()}; {MISUSED} wrong use.",
        ]
        return "\n\n".join(lines)

    def failing(self) -> str:
        """Return what 1 means where it means nothing else."""
        return "the database could not be used" if "database" in self.needs else "the output could not be written"


_TENANTS, _BOTH, _NEITHER = "tenants.yaml", "tenants.yaml and the database", "neither tenants.yaml nor the database"

ORDER = (
    *("demo", "tenants", "check", "db", "sync"),  # to begin
    *("show", "history", "diff", "events", "badge", "manifest"),  # about a version
    *("policy", "frameworks", "tags", "mapping", "audit"),  # about a tenant
)
"""The commands as a newcomer needs them."""

GUIDES: Mapping[str, Guide] = {
    "demo": Guide(
        "--once --fresh",
        _NEITHER,
        "its own folder alone",
        "a sync failed, or a server did not start",
        "a summary for people",
    ),
    "tenants": Guide("--json", _TENANTS),
    "tenants erase": Guide("acme --yes", _BOTH, "the database", "nothing is kept of the tenant"),
    "check": Guide("acme", _TENANTS, failed="something cannot be read"),
    "db upgrade": Guide(writes="the schema", failed="the schema is newer, is another role's, or is in use"),
    "db roles": Guide("--json"),
    "db revoke": Guide(
        "old_service", writes="what the role may do", failed="the role has no access, or this is not the owner"
    ),
    "db grant pipeline": Guide(
        "verifywise_sync", writes="what the role may do", failed="there is no such role, or this is not the owner"
    ),
    "db grant reader": Guide(
        "acme_auditor --tenant acme",
        writes="what the role may do",
        failed="there is no such role, or this is not the owner",
    ),
    "sync": Guide(
        'acme --reconcile --accept-removals "Ada: the team Lynx was dissolved"',
        _BOTH,
        "the database; the server is only read",
        "the server or the database could not be used: what was read until then is kept",
    ),
    "show": Guide("acme churn 3 --as-of 2026-03-03", failed="there was no such record then"),
    "history": Guide("acme churn 3", failed="the version is not known"),
    "diff": Guide("acme --from 2026-03-01 --to 2026-04-01", failed="the tenant is not known"),
    "events": Guide("acme churn --kind stage --since 2026-03-01", failed="the tenant is not known"),
    "badge": Guide(
        "acme churn 3",
        failed="nothing was judged that it could be made of",
        written="an object for programs, or an image",
    ),
    "manifest": Guide(
        "acme churn 3",
        failed="there is no manifest, or not every file was hashed",
        written="an in-toto statement, which is JSON",
    ),
    "policy check": Guide(
        "stricter.yaml",
        _NEITHER,
        failed="the policy cannot be read or has errors, or a rule is not as its examples say",
    ),
    "policy rules": Guide("acme", _BOTH),
    "policy rule": Guide("acme owner", _TENANTS, failed="the tenant is not asked it"),
    "policy explain": Guide(
        "acme churn 3 production-privacy-assessment",
        failed="there was no such verdict, or it does not follow from what is kept",
    ),
    "policy diff": Guide("acme --policy stricter.yaml", _BOTH),
    "policy waivers": Guide("acme --json", failed="the tenant is not known"),
    "policy waive": Guide(
        'acme dataset-reference churn --approver "Grace" --reason "data set is on paper" --expires 2026-12-31',
        _BOTH,
        "the waivers in the database, and the audit trail",
    ),
    "policy unwaive": Guide(
        "acme 7", _BOTH, "the waivers in the database, and the audit trail", "there is no such waiver that holds"
    ),
    "frameworks": Guide("acme", "the database, if a tenant is named", failed="no version of the tenant lives"),
    "tags": Guide("acme", failed="nothing is known of the tenant's mapping"),
    "mapping": Guide("acme owner", "the database, or tenants.yaml", failed="nothing is known of the tenant's mapping"),
    "audit verify": Guide(
        "acme --public-key public.pem --checkpoint kept.jsonl", failed="the chain is damaged, or there is none"
    ),
    "audit show": Guide('acme --kind "sync ended" --since 2026-03-01 --limit 20', failed="there is no trail"),
    "audit checkpoint": Guide(
        "acme",
        "the database, and the key that VERIFYWISE_AUDIT_SIGNING_KEY refers to",
        "the checkpoints in the database",
        "there is no trail",
        "the checkpoint, a line of JSON",
    ),
    "audit export": Guide(
        "acme --output acme.jsonl", failed="there is no trail", written="a line of JSON for each entry and checkpoint"
    ),
    "audit new-key": Guide("signing.pem", _NEITHER, "the new file alone"),
}
"""By the words that name the command."""
