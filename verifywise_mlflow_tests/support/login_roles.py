"""Database roles that may log in, dropped at the end of a test: all tests share one server."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import psycopg2
from psycopg2 import sql
from sqlalchemy import make_url


@dataclass(frozen=True, slots=True)
class LoginRole:
    """A role and its URL."""

    name: str
    url: str


def new_name(kind: str) -> str:
    return f"{kind}_{uuid.uuid4().hex[:12]}"


def execute(url: str, *statements: str | sql.Composable) -> None:
    """Run statements, each in a transaction of its own."""
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)


@contextmanager
def login_role(database_url: str, name: str, options: str = "") -> Iterator[LoginRole]:
    """A role that may only log in to the database. It must be dropped before its database."""
    password = secrets.token_hex(16)
    role = sql.Identifier(name)
    execute(
        database_url,
        sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} {}").format(role, sql.Literal(password), sql.SQL(options)),
    )
    try:
        url = make_url(database_url).set(username=name, password=password)
        yield LoginRole(name, url.render_as_string(hide_password=False))
    finally:
        execute(
            database_url,
            sql.SQL("REASSIGN OWNED BY {} TO CURRENT_USER").format(role),
            sql.SQL("DROP OWNED BY {}").format(role),
            sql.SQL("DROP ROLE {}").format(role),
        )
