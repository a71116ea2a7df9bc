"""Checks the triggers that keep tables append-only or write histories: they must be as the migrations created them.

Triggers refuse changes by every role, the owner included, but the owner can disable, drop or replace a trigger. Such a
change leaves no row behind: only the catalog shows the change, and only while it lasts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, text

from verifywise_mlflow.persistence.sql_identifiers import quoted_identifier
from verifywise_mlflow.persistence.tables import SCHEMA

_MIGRATIONS: Final = Path(__file__).parent / "migrations" / "versions"
_FUNCTION: Final = re.compile(
    r"CREATE (?:OR REPLACE )?FUNCTION \{schema\}\.(\w+)\((.*?)\) (RETURNS .*?) AS \$\$(.*?)\$\$", re.DOTALL
)

TRAILS: Final = ("audit_trail", "audit_checkpoints", "checkpoint_receipts")
"""Tables whose rows are added, and never changed or deleted."""
HISTORIES: Final = (
    *("canonical_record_history", "version_verdict_history", "compliance_badge_history"),
    *("lifecycle_events", "integrity_events", "config_versions", "state_log", "state_commitments"),
    *("prompt_version_history", "agent_history"),
)
"""Tables whose rows are added and never changed. Only the erasure of a tenant deletes its rows."""
RETAINED: Final = ("canonical_records", "artifact_manifests", "waivers", "prompt_versions", "agents")
"""Tables whose rows change. Only the erasure of a tenant deletes its rows."""
DELETABLE: Final = ("version_verdicts", "compliance_badges")
"""Tables whose rows change and are deleted. Their history tables keep the former rows."""


REMEDY: Final = (
    "find out which owner or superuser changed it, repair it as the owner, and run "
    "verifywise-mlflow audit verify TENANT --records for each tenant"
)
"""The remedy for every problem."""


@dataclass(frozen=True, slots=True)
class Guard:
    """A trigger that refuses changes of a table, or writes its history."""

    table: str
    name: str
    events: str
    """The part of ``pg_get_triggerdef`` from the time up to the table: ``BEFORE DELETE OR UPDATE``."""
    scope: str
    """The clause after the table: ``FOR EACH STATEMENT``."""
    function: str

    @property
    def header(self) -> str:
        """The definition without its function, as Postgres writes it."""
        kind = "CONSTRAINT TRIGGER" if "DEFERRABLE" in self.scope else "TRIGGER"
        return f"CREATE {kind} {self.name} {self.events} ON {SCHEMA}.{self.table} {self.scope}"

    @property
    def is_always_on(self) -> bool:
        """Whether the trigger must also fire under ``session_replication_role = replica``.

        Triggers that write histories need not fire there: a logical replica receives the histories as rows.
        """
        return not self.function.startswith("save_")

    @property
    def enabling_statement(self) -> str:
        """The SQL statement that enables the trigger."""
        return f"ALTER TABLE {SCHEMA}.{self.table} ENABLE {'ALWAYS ' if self.is_always_on else ''}TRIGGER {self.name}"


def _guards() -> Iterator[Guard]:
    for table in TRAILS:
        yield Guard(table, "append_only", "BEFORE DELETE OR UPDATE", "FOR EACH ROW", "refuse_change")
    for table in HISTORIES:
        yield Guard(table, "append_only", "BEFORE UPDATE", "FOR EACH ROW", "refuse_change")
    for table in (*TRAILS, *HISTORIES):
        yield Guard(table, "refuse_truncation", "BEFORE TRUNCATE", "FOR EACH STATEMENT", "refuse_change")
    for table in (*RETAINED, *DELETABLE):
        yield Guard(table, "refuse_truncation", "BEFORE TRUNCATE", "FOR EACH STATEMENT", "refuse_truncation")
    for table in (*HISTORIES, *RETAINED):
        yield Guard(table, "refuse_deletion", "BEFORE DELETE", "FOR EACH ROW", "refuse_deletion")
    yield Guard("waivers", "refuse_waiver_change", "BEFORE UPDATE", "FOR EACH ROW", "refuse_waiver_change")
    erasure = "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((new.kind = 'tenant erased'::text))"
    yield Guard("audit_trail", "refuse_partial_erasure", "AFTER INSERT", erasure, "refuse_partial_erasure")
    other_bytes = "FOR EACH ROW WHEN ((old.* *<> new.*))"
    yield Guard("canonical_records", "save_former_record", "BEFORE UPDATE", other_bytes, "save_former_record")
    yield Guard("canonical_records", "save_deleted_record", "BEFORE DELETE", "FOR EACH ROW", "save_former_record")
    changed = "FOR EACH ROW WHEN ((old.* IS DISTINCT FROM new.*))"
    for table in ("prompt_versions", "agents"):
        yield Guard(table, "save_former_asset", "BEFORE UPDATE", changed, "save_former_asset")
        yield Guard(table, "save_deleted_asset", "BEFORE DELETE", "FOR EACH ROW", "save_former_asset")
    yield Guard("version_verdicts", "save_former_verdicts", "BEFORE UPDATE", changed, "save_former_verdicts")
    yield Guard("version_verdicts", "save_deleted_verdicts", "BEFORE DELETE", "FOR EACH ROW", "save_former_verdicts")
    yield Guard(
        "compliance_badges", "save_former_badge", "BEFORE DELETE OR UPDATE", "FOR EACH ROW", "save_former_badge"
    )


GUARDS: Final = tuple(_guards())


@dataclass(frozen=True, slots=True)
class _StoredTrigger:
    header: str
    function: str
    """The function's name, preceded by its schema if the schema is not ours."""
    mode: str
    """``O``: enabled, ``A``: always, ``R``: under replication only, ``D``: disabled."""


@dataclass(frozen=True, slots=True)
class _Function:
    attributes: str
    """The clauses after the arguments: result, language, volatility, rights and settings. ``ALTER FUNCTION`` changes
    them without a change of the body."""
    body: str


def append_only_problems(connection: Connection) -> list[str]:
    """Return how the triggers and functions differ from this release's, as texts without a period.

    The result includes triggers, rules, parents and children of guarded tables that are not ours, and functions that
    have the name of ours and other arguments. Any role may call this function.
    """
    triggers, functions, expected = _stored_triggers(connection), _stored_functions(connection), _expected_functions()
    problems = [_guard_problem(guard, triggers.get((guard.table, guard.name))) for guard in GUARDS]
    changed = [signature for signature, function in expected.items() if functions.get(signature) != function]
    names = {_name(signature) for signature in expected}
    guarded = {guard.table for guard in GUARDS}
    foreign = [
        f"the trigger {quoted_identifier(name)} of {table}"
        for (table, name), trigger in triggers.items()
        if table in guarded and trigger.function not in names
    ]
    foreign += [f"the rule {quoted_identifier(rule)} of {table}" for table, rule in _rules(connection, guarded)]
    foreign += [
        f"the function {signature}"
        for signature in functions
        if signature not in expected and _name(signature) in names
    ]
    return [
        *(problem for problem in problems if problem),
        *(f"the function {signature} is not as this release created it" for signature in changed),
        *(f"{subject} is not ours: it could change or suppress what is written" for subject in foreign),
        *(
            f"{child} inherits from {parent}: this release creates no inheritance. "
            f"End it with ALTER TABLE {child} NO INHERIT {parent}"
            for child, parent in _inheritances(connection, guarded)
        ),
    ]


def _guard_problem(guard: Guard, stored: _StoredTrigger | None) -> str | None:
    trigger = f"the trigger {guard.name} of {guard.table}"
    creation = f"{guard.header} EXECUTE FUNCTION {SCHEMA}.{guard.function}()"
    if stored is None:
        restoring = f"{creation}; {guard.enabling_statement}" if guard.is_always_on else creation
        return f"{trigger} is missing: restore it with {restoring}"
    if (stored.header, stored.function) != (guard.header, guard.function):
        return f"{trigger} is not as this release created it: drop it, and restore it with {creation}"
    if stored.mode == "D":
        return f"{trigger} is disabled: enable it with {guard.enabling_statement}"
    if stored.mode not in ("A" if guard.is_always_on else "OA"):
        return f"{trigger} can be switched off by session_replication_role: end that with {guard.enabling_statement}"
    return None


def _stored_triggers(connection: Connection) -> Mapping[tuple[str, str], _StoredTrigger]:
    # The function is read separately: whether pg_get_triggerdef adds the function's schema depends on search_path.
    query = text("""
        SELECT relname, tgname, split_part(pg_get_triggerdef(t.oid), ' EXECUTE FUNCTION ', 1) AS header,
               CASE WHEN pronamespace = n.oid THEN proname ELSE concat(pronamespace::regnamespace, '.', proname) END
                   AS function,
               tgenabled
        FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = tgrelid JOIN pg_namespace AS n ON n.oid = relnamespace
        JOIN pg_proc AS p ON p.oid = tgfoid
        WHERE nspname = :schema AND NOT tgisinternal ORDER BY relname, tgname
    """)
    return {
        (row.relname, row.tgname): _StoredTrigger(row.header, row.function, row.tgenabled)
        for row in connection.execute(query, {"schema": SCHEMA})
    }


def _name(signature: str) -> str:
    return signature.split("(")[0]


def _stored_functions(connection: Connection) -> Mapping[str, _Function]:
    """Return the schema's functions by signature, such as ``cells(text)``."""
    # A function with its owner's rights sees every row only if its owner is the owner of the tables.
    query = text("""
        SELECT format('%s(%s)', proname, oidvectortypes(proargtypes)) AS signature,
               concat_ws(
                   ' ', 'RETURNS', pg_get_function_result(p.oid), 'LANGUAGE', lanname,
                   CASE provolatile WHEN 'i' THEN 'IMMUTABLE' WHEN 's' THEN 'STABLE' END,
                   CASE WHEN proisstrict THEN 'STRICT' END,
                   CASE WHEN prosecdef THEN 'SECURITY DEFINER' END,
                   CASE WHEN proowner <> (
                       SELECT relowner FROM pg_class WHERE relnamespace = pronamespace AND relname = 'audit_trail'
                   ) THEN 'OWNED BY ANOTHER ROLE' END,
                   (
                       SELECT string_agg(concat('SET ', regexp_replace(setting, '=', ' = ')), ' ' ORDER BY place)
                       FROM unnest(proconfig) WITH ORDINALITY AS settings (setting, place)
                   )
               ) AS attributes,
               prosrc
        FROM pg_proc AS p JOIN pg_language AS l ON l.oid = prolang
        WHERE pronamespace = CAST(:schema AS regnamespace) ORDER BY 1
    """)
    return {
        row.signature: _Function(row.attributes, row.prosrc) for row in connection.execute(query, {"schema": SCHEMA})
    }


@cache
def _expected_functions() -> Mapping[str, _Function]:
    """Return the schema's functions by signature. The last migration that defines a function decides."""
    files = sorted(_MIGRATIONS.glob("*/*.sql"))
    return {
        f"{name}({_types(arguments)})": _Function(
            " ".join(attributes.replace("timestamptz", "timestamp with time zone").split()),
            body.replace("{schema}", SCHEMA),
        )
        for file in files
        for name, arguments, attributes, body in _FUNCTION.findall(file.read_text(encoding="utf-8"))
    }


def _types(arguments: str) -> str:
    """Return the types of arguments such as ``joined text, places integer[]``."""
    return ", ".join(argument.split(maxsplit=1)[1] for argument in arguments.split(",") if argument)


def _rules(connection: Connection, tables: Iterable[str]) -> list[tuple[str, str]]:
    query = text("SELECT tablename, rulename FROM pg_rules WHERE schemaname = :schema AND tablename = ANY(:tables)")
    rows = connection.execute(query, {"schema": SCHEMA, "tables": sorted(tables)})
    return [(row.tablename, row.rulename) for row in rows]


def _inheritances(connection: Connection, tables: Iterable[str]) -> list[tuple[str, str]]:
    """Return the children and the parents of tables: (child, parent).

    Rows of a child are read as rows of its parent. A statement that names a parent changes the rows of its children.
    """
    query = text("""
        SELECT format('%s.%I', child.relnamespace::regnamespace, child.relname) AS child,
               format('%s.%I', parent.relnamespace::regnamespace, parent.relname) AS parent
        FROM pg_inherits
        JOIN pg_class AS child ON child.oid = inhrelid JOIN pg_class AS parent ON parent.oid = inhparent
        WHERE (child.relnamespace = CAST(:schema AS regnamespace) AND child.relname = ANY(:tables))
        OR (parent.relnamespace = CAST(:schema AS regnamespace) AND parent.relname = ANY(:tables))
        ORDER BY 1, 2
    """)
    rows = connection.execute(query, {"schema": SCHEMA, "tables": sorted(tables)})
    return [(row.child, row.parent) for row in rows]
