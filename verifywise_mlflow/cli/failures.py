"""Exits of commands that use tenants.yaml, a server or the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from verifywise_mlflow.cli.command_catalog import FAILED, INTERRUPTED, MISUSED, UNRESOLVED
from verifywise_mlflow.cli.output import fail
from verifywise_mlflow.common.unresolved_names import NotRecordedYetError, UnresolvedNameError
from verifywise_mlflow.http.errors import HttpError
from verifywise_mlflow.persistence.database import DatabaseError
from verifywise_mlflow.services.rule_worker_error import RuleWorkerUnavailableError
from verifywise_mlflow.tenants.errors import SecretUnavailableError, TenantsFileError


@contextmanager
def exit_on_errors(as_json: bool) -> Iterator[None]:
    """Exit with a sentence and an exit code if tenants.yaml, a secret, a server or the database cannot be used.

    A name that is unknown or ambiguous has an exit code of its own.
    """
    try:
        yield
    except NotRecordedYetError as error:
        fail(str(error), FAILED, as_json)
    except UnresolvedNameError as error:
        fail(str(error), UNRESOLVED, as_json)
    except (TenantsFileError, SecretUnavailableError) as error:
        fail(str(error), MISUSED, as_json)
    except (HttpError, DatabaseError, RuleWorkerUnavailableError) as error:
        fail(str(error), FAILED, as_json)
    except KeyboardInterrupt:
        fail("interrupted", INTERRUPTED, as_json)
