"""The help texts of all commands: summary, example, what the command needs and changes, and exit codes.

``--help`` and docs/reference/cli.md are both generated from this table, and a test runs every example.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

DONE, FAILED, MISUSED, UNRESOLVED, UNPROVED, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 3, 4, 130, 141

EXIT_CODES: Mapping[int, str] = {
    DONE: "success",
    FAILED: "the server or the database cannot be used, there is nothing of what was requested, or the output is full",
    MISUSED: "the command line, tenants.yaml, a key or an input file is invalid",
    UNRESOLVED: "a name of a tenant, model, version, rule, clause or the like is unknown or ambiguous; the error "
    "suggests names",
    UNPROVED: "audit verify found no damage, but not everything is proved",
    INTERRUPTED: "interrupted by Ctrl-C, by SIGTERM, or because the terminal was closed",
    BROKEN_PIPE: "the reader of the output, such as head, closed the pipe",
}
"""The exit codes of all commands. Shells report 130 and 141 for a program that SIGINT or SIGPIPE ended."""

COMMANDS: Mapping[str, str] = {
    "demo": "Start a demo: a real MLflow server, Postgres and Dagster, with two tenants.",
    "tenants": "Validate tenants.yaml with its policies and waivers, and list the tenants.",
    "check": "Check what a tenant's server lets this account read. Nothing is stored.",
    "webhooks": "Print how to register MLflow's webhooks with our listener, or check them. MLflow is only read.",
    "db": "Manage the database schema and the roles that may use it.",
    "worker": "Execute the runs that Dagster sends to the broker, several at a time.",
    "sync": "Sync one tenant through all six stages, without Dagster.",
    "inventory": "List the model versions of tenants: stage, aliases, owner, purpose, risk, badge, AI system, times.",
    "gaps": "List the gaps of tenants, or count them: severity, rule, version, owner, since when, waiver.",
    "show": "Print what is known of a version, now or at any time: badge, gaps, people, training, files.",
    "history": "Print the history of a version: its record, verdicts, badge, waivers and lifecycle events.",
    "diff": "Print how a tenant's records, verdicts and badges changed between two times.",
    "events": "Print the lifecycle events of a tenant's models and versions, newest last.",
    "compare": "Compare two versions of a model side by side: metrics, parameters, data, packages, files, verdicts.",
    "systems": "List a tenant's AI systems: their models, badges, open gaps, and what is declared about them.",
    "lineage": "Print what versions were made from, as tables, a graph or a picture, and which data sets models share.",
    "prompts": "List the prompts of a tenant's registry: versions, aliases, model, and which model versions use them.",
    "agents": "List a tenant's agents, registered or not, with their prompts, model versions, parameters and metrics.",
    "export": "Export a tenant for a data warehouse: everything at first, then what is new.",
    "badge": "Print the badge of a version or of a model, for other systems to display.",
    "manifest": "Print the files and hashes of a version as an OpenSSF Model Signing statement.",
    "pack": "Write the evidence pack of a version: one archive for an audit folder, readable without this product.",
    "policy": "Inspect rules, explain verdicts, try out a policy, and manage waivers.",
    "report": "Write the governance report: a static site for the browser, the board and the printer.",
    "frameworks": "Show how much evidence a tenant's records hold for each clause of each framework.",
    "tags": "Report which tags of a tenant cannot be interpreted, and suggest a mapping.",
    "mapping": "Show how a field of the record is filled for a tenant: sources, keys and values.",
    "doctor": "Check this installation, and say what to do about each problem.",
    "metrics": "Serve metrics of all tenants to Prometheus.",
    "listen": "Receive MLflow's webhooks, and leave hints of what to read again.",
    "audit": "Show, verify, sign and export the audit trail of a tenant.",
    "deliver": "Deliver verdicts to VerifyWise and other systems, and show what is pending.",
}
"""The commands, in the order in which users need them, with the first line of their help. A test compares that line."""


@dataclass(frozen=True, slots=True)
class CommandHelp:
    """Facts about one command, for its help."""

    example: str = ""
    """Example arguments."""
    needs: str = "the database"
    """The requirements: tenants.yaml (``VERIFYWISE_TENANTS``), the database (``VERIFYWISE_DATABASE_URL``), both, or
    neither."""
    changes: str = ""
    """The changes that the command makes. Most commands change nothing."""
    failure: str = ""
    """The meaning of exit code 1; empty if it only means that the server or the database cannot be used."""
    program_output: str = ""
    """The output that programs can read, for a command without ``--json``."""
    names_objects: bool = True
    """Whether arguments name tenants, models, versions or the like, so that names can be misspelled."""
    other_codes: str = ""
    """Further exit codes with their meanings."""

    def epilog(self, path: str) -> str:
        """Return the end of the command's help, one paragraph per line."""
        lines = [
            f"Example: verifywise-mlflow {path} {self.example}".rstrip(),
            f"Needs {self.needs}. Changes {self.changes or 'nothing'}.",
            f"Exit codes: {DONE} {EXIT_CODES[DONE]}; {FAILED} {self.failure or self.default_failure()}; "
            f"{MISUSED} invalid use{f'; {UNRESOLVED} an unknown or ambiguous name' * self.names_objects}"
            f"{f'; {self.other_codes}' if self.other_codes else ''}.",
        ]
        return "\n\n".join(lines)

    def default_failure(self) -> str:
        """Return the meaning of exit code 1 for a command whose ``failure`` is empty."""
        return "the database cannot be used" if "database" in self.needs else "the output cannot be written"


_TENANTS, _BOTH, _NEITHER = "tenants.yaml", "tenants.yaml and the database", "neither tenants.yaml nor the database"

HELP: Mapping[str, CommandHelp] = {
    "demo": CommandHelp(
        "--once --fresh",
        _NEITHER,
        "its own folder only",
        "a sync or a delivery failed, or a server did not start",
        "a summary for people",
        names_objects=False,
    ),
    "demo live": CommandHelp(
        "--undo",
        "a running demo",
        "one tag in the demo's MLflow",
        "no demo runs, or the badge did not follow within two minutes",
        "a report for people",
        names_objects=False,
    ),
    "tenants": CommandHelp("--json", _TENANTS, names_objects=False),
    "tenants erase": CommandHelp("acme --yes", _BOTH, "the database", "you are not the owner"),
    "check": CommandHelp("acme", _TENANTS, failure="something cannot be read"),
    "webhooks": CommandHelp(
        "acme --url https://listener.example.com",
        f"{_TENANTS}, and with --check the database",
        "the file of --output only",
        "the server has no webhooks; with --check, something is missing, disabled or superfluous",
    ),
    "db upgrade": CommandHelp(
        changes="the schema",
        failure="the schema is newer, belongs to another product or role, or is in use",
        names_objects=False,
    ),
    "db check": CommandHelp(
        "--json",
        failure="the schema is missing, outdated, newer, or another product's, or a trigger that protects it is off",
        names_objects=False,
    ),
    "db roles": CommandHelp("--json", names_objects=False),
    "db revoke": CommandHelp(
        "old_service",
        changes="the role's privileges, the audit trail",
        failure="the role has no access, or you are not the owner",
        names_objects=False,
    ),
    "db grant pipeline": CommandHelp(
        "verifywise_sync",
        changes="the role's privileges, the audit trail",
        failure="the role does not exist, or you are not the owner",
        names_objects=False,
    ),
    "db grant reader": CommandHelp(
        "acme_auditor --tenant acme",
        changes="the role's privileges, the audit trail",
        failure="the role does not exist, or you are not the owner",
        names_objects=False,
    ),
    "db grant listener": CommandHelp(
        "verifywise_listener",
        changes="the role's privileges, the audit trail",
        failure="the role does not exist, or you are not the owner",
        names_objects=False,
    ),
    "sync": CommandHelp(
        'acme --reconcile --accept-removals "Ada: the team Lynx was dissolved"',
        _BOTH,
        "the database; the server is only read",
        "the server or the database cannot be used: what was read before stays stored",
    ),
    "worker": CommandHelp(
        "--processes 4",
        "the database, Dagster's database, tenants.yaml and the broker",
        "the databases; the servers are only read",
        "a database cannot be used, or the extra celery is not installed",
        "the log of the worker",
        names_objects=False,
    ),
    "inventory": CommandHelp("acme --stage production --missing owner --output inventory.xlsx"),
    "gaps": CommandHelp("acme --severity critical --severity high --by owner"),
    "show": CommandHelp("acme churn 3 --as-of 2026-03-03", failure="there was no such record at that time"),
    "history": CommandHelp("acme churn champion"),
    "diff": CommandHelp("acme --from yesterday"),
    "events": CommandHelp("acme churn --kind stage --since 7d"),
    "compare": CommandHelp("acme churn champion challenger"),
    "lineage": CommandHelp("acme churn --output churn.svg", failure="the graph cannot be written"),
    "prompts": CommandHelp("acme summary"),
    "agents": CommandHelp("acme support-bot"),
    "export": CommandHelp(
        "acme warehouse/acme", changes="the files of the directory only", failure="a file cannot be written"
    ),
    "badge": CommandHelp(
        "acme churn 3",
        failure="no verdict exists that a badge could be made of",
        program_output="an image, or with --format json an object",
    ),
    "manifest": CommandHelp(
        "acme churn 3",
        failure="there is no manifest, or some files are not hashed",
        program_output="an in-toto statement, which is JSON",
    ),
    "pack": CommandHelp(
        "acme churn 3 --output churn-3.zip --framework 'EU AI Act'",
        changes="the files only",
        failure="no record of the version at that time, no version of the system in use, or a file cannot be written",
    ),
    "policy check": CommandHelp(
        "stricter.yaml",
        _NEITHER,
        failure="the policy is invalid, or an example of a rule gives another verdict than it states",
        names_objects=False,
    ),
    "policy rules": CommandHelp("acme", _BOTH),
    "policy rule": CommandHelp("acme owner", _TENANTS),
    "policy gaps": CommandHelp("acme --limit 50", _BOTH),
    "policy explain": CommandHelp(
        "acme churn 3 production-privacy-assessment",
        failure="there was no such verdict, or the stored values do not reproduce it",
    ),
    "policy diff": CommandHelp("acme --policy stricter.yaml", _BOTH),
    "policy waivers": CommandHelp("acme --json"),
    "policy waive": CommandHelp(
        'acme dataset-reference churn --approver "Grace" --reason "data set is on paper" --expires 2026-12-31',
        _BOTH,
        "the waivers in the database, and the audit trail",
    ),
    "policy unwaive": CommandHelp(
        "acme 7", _BOTH, "the waivers in the database, and the audit trail", "no such waiver is in force"
    ),
    "systems": CommandHelp("acme --json"),
    "frameworks": CommandHelp("acme", "the database, if a tenant is given", failure="the tenant has no version"),
    "report": CommandHelp(
        "acme --output governance-report",
        changes="the output folder",
        failure="the database cannot be used or has no tenant",
    ),
    "tags": CommandHelp("acme", failure="the tenant's mapping is unknown"),
    "mapping": CommandHelp("acme owner", "the database, or tenants.yaml", failure="the tenant's mapping is unknown"),
    "doctor": CommandHelp(
        "--json",
        "the database and tenants.yaml, and DAGSTER_HOME for the run queue",
        failure="there is a problem",
        names_objects=False,
    ),
    "metrics": CommandHelp(
        "--once",
        _BOTH,
        "cached counts in the database only",
        "the database cannot be used, or the port is taken",
        "metrics in Prometheus' text format",
        names_objects=False,
    ),
    "listen": CommandHelp(
        "--port 9480",
        _BOTH,
        "hints in the database only",
        "the database cannot be used, or the port is taken",
        "the log of the listener",
        names_objects=False,
    ),
    "deliver check": CommandHelp("acme", _BOTH, failure="something does not work there"),
    "deliver plan": CommandHelp("acme", _BOTH, failure="a target or the database cannot be used"),
    "deliver run": CommandHelp(
        "acme --yes",
        _BOTH,
        "the targets, and the outbox and the audit trail in the database",
        "a delivery was stopped or waits for --yes: what was not delivered stays pending",
    ),
    "deliver status": CommandHelp("acme --json", _BOTH),
    "audit verify": CommandHelp(
        "acme --public-key public.pem --checkpoint saved.jsonl",
        failure="the chain or, with --records, a row is damaged, or a key was given and it signed nothing",
        other_codes=f"{UNPROVED} there is no damage, but not everything is proved, or a person accepted states",
    ),
    "audit show": CommandHelp('acme --kind "sync ended" --since 2026-03-01 --limit 20'),
    "audit checkpoint": CommandHelp(
        "acme",
        "the database, and the key that VERIFYWISE_AUDIT_SIGNING_KEY refers to",
        "the checkpoints in the database",
        "the trail is empty",
        "the checkpoint, a line of JSON",
    ),
    "audit export": CommandHelp(
        "acme --output acme.jsonl",
        failure="the trail is damaged (it is exported), or the file cannot be written",
        program_output="a line of JSON for each entry and each checkpoint",
    ),
    "audit prove": CommandHelp(
        "acme churn 3 --as-of 2026-03-03 --output churn-3-proof.json",
        changes="the file only",
        failure="the states were not committed by then, or are not as they were logged",
    ),
    "audit accept-states": CommandHelp(
        'acme --reason "Ada: rows of a test that ran on the wrong database, ticket 123"',
        changes="the audit trail and its checkpoints in the database",
        failure="no state is refused, the log is not what the trail commits, or a sync is running",
    ),
    "audit new-key": CommandHelp("signing.pem", _NEITHER, "the new file only", names_objects=False),
    "audit public-key": CommandHelp(
        "",
        "the key that VERIFYWISE_AUDIT_SIGNING_KEY refers to",
        program_output="the public key in PEM",
        names_objects=False,
    ),
    "audit rotate-key": CommandHelp(
        "acme",
        "the database, VERIFYWISE_AUDIT_SIGNING_KEY and VERIFYWISE_AUDIT_PREVIOUS_SIGNING_KEY",
        "the trail and its checkpoints in the database",
        "the trail is already signed with this key, or not signed yet",
        "the checkpoints over the new entry, a line of JSON each",
    ),
    "audit witness": CommandHelp(
        "acme",
        "the database, and the file that VERIFYWISE_AUDIT_WITNESSES names",
        "what the witnesses have, and their receipts in the database",
        "a witness did not take the checkpoint, or no checkpoint was signed yet",
    ),
    "audit timestamps": CommandHelp(
        "receipts.jsonl --roots authority.pem",
        _NEITHER,
        failure="a token is not valid, or the file has none",
        names_objects=False,
    ),
}
"""Maps the path of a command, such as ``policy check``, to the command's help."""
