"""What the help of each command ends with: an example, what a program gets from it, what its exit codes mean.

One table, so that docs/cli.md and ``--help`` cannot tell different things. Examples are tried by a test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

DONE, FAILED, MISUSED, INTERRUPTED, NOT_READ = 0, 1, 2, 130, 141

EXIT_CODES: Mapping[int, str] = {
    DONE: "done",
    FAILED: "the server or the database could not be used, or what was asked for is not there",
    MISUSED: "the command, tenants.yaml, a key or a file that it was given is wrong",
    INTERRUPTED: "Ctrl-C",
    NOT_READ: "whoever read the output, such as head, hung up before its end",
}
"""Of every command. 130 and 141 are what shells report for a program that SIGINT or SIGPIPE ended."""


@dataclass(frozen=True, slots=True)
class Guide:
    """What there is to know of one command."""

    example: str
    """Its arguments, as somebody would write them."""
    failed: str = ""
    """When else it ends with 1 than where the server or the database could not be used."""
    written: str = ""
    """What a program gets from a command without ``--json``."""

    def epilog(self, path: str) -> str:
        """Return the end of the command's help, a paragraph a line."""
        lines = [f"Example: verifywise-mlflow {path} {self.example}".rstrip()]
        if self.failed:
            lines.append(f"Exit codes: {DONE} {EXIT_CODES[DONE]}; {FAILED} {self.failed}; {MISUSED} wrong use.")
        return "\n\n".join(lines)


ORDER = (
    *("demo", "tenants", "check", "db", "sync"),  # to begin
    *("show", "history", "diff", "events", "badge", "manifest"),  # about a version
    *("policy", "frameworks", "tags", "mapping", "audit"),  # about a tenant
)
"""The commands as a newcomer needs them."""

GUIDES: Mapping[str, Guide] = {
    "demo": Guide("--once --fresh", "a sync failed, or a server did not start", "a summary for people"),
    "tenants": Guide("--json"),
    "tenants erase": Guide("acme --yes", "nothing is kept of the tenant"),
    "check": Guide("acme", "something cannot be read"),
    "db upgrade": Guide("", "the schema is newer, is another role's, or is in use"),
    "db roles": Guide("--json"),
    "db revoke": Guide("old_service", "the role has no access, or this is not the owner"),
    "db grant pipeline": Guide("verifywise_sync", "there is no such role, or this is not the owner"),
    "db grant reader": Guide("acme_auditor --tenant acme", "there is no such role, or this is not the owner"),
    "sync": Guide(
        'acme --reconcile --accept-removals "Ada: the team Lynx was dissolved"',
        "the server or the database could not be used: what was read until then is kept",
    ),
    "show": Guide("acme churn 3 --as-of 2026-03-03", "there was no such record then"),
    "history": Guide("acme churn 3", "the version is not known"),
    "diff": Guide("acme --from 2026-03-01 --to 2026-04-01"),
    "events": Guide("acme churn --kind stage --since 2026-03-01"),
    "badge": Guide("acme churn 3", "nothing was judged that it could be made of", "Shields' JSON or an image"),
    "manifest": Guide(
        "acme churn 3", "there is no manifest, or not every file was hashed", "an in-toto statement, which is JSON"
    ),
    "policy check": Guide("stricter.yaml", "the policy has errors, or a rule is not as its examples say"),
    "policy rules": Guide("acme"),
    "policy rule": Guide("acme owner", "the tenant is not asked it"),
    "policy explain": Guide(
        "acme churn 3 production-privacy-assessment",
        "there was no such verdict, or it does not follow from what is kept",
    ),
    "policy diff": Guide("acme --policy stricter.yaml"),
    "policy waivers": Guide("acme --json"),
    "policy waive": Guide(
        'acme dataset-reference churn --approver "Grace" --reason "data set is on paper" --expires 2026-12-31'
    ),
    "policy unwaive": Guide("acme 7"),
    "frameworks": Guide("acme", "no version of the tenant lives"),
    "tags": Guide("acme"),
    "mapping": Guide("acme owner"),
    "audit verify": Guide("acme --public-key public.pem --checkpoint kept.jsonl", "the chain is damaged"),
    "audit show": Guide('acme --kind "sync ended" --since 2026-03-01 --limit 20'),
    "audit checkpoint": Guide("acme", "the trail is empty", "the checkpoint, a line of JSON"),
    "audit export": Guide("acme --output acme.jsonl", written="a line of JSON for each entry and checkpoint"),
    "audit new-key": Guide("signing.pem"),
}
"""By the words that name the command."""
