"""Names of roles, schemas and databases as SQL writes them."""


def quoted_identifier(name: str) -> str:
    """Return a name in double quotes, so that the name may contain any character that Postgres stores."""
    return '"' + name.replace('"', '""') + '"'
