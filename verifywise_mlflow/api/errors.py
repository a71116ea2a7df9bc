"""The errors of the public API: one family, whose messages say what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class VerifyWiseError(Exception):
    """The base of all errors that the public API raises on purpose."""


class StoreError(VerifyWiseError):
    """The database cannot be used: no URL, no connection, another schema, or a missing privilege."""


class NotFoundError(VerifyWiseError, LookupError):
    """There is no such tenant, model, version, alias, AI system or framework. The message suggests similar names."""


class InvalidArgumentError(VerifyWiseError, ValueError):
    """An argument has no meaning, such as a time that cannot be parsed or is in the future."""


class MissingExtraError(VerifyWiseError, ImportError):
    """A result needs a package that is not installed. The message names the extra."""


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise the errors of the packages below as errors of the public API."""
    from verifywise_mlflow.common.moments import MomentError
    from verifywise_mlflow.common.unresolved_names import UnresolvedNameError
    from verifywise_mlflow.persistence.errors import DatabaseError

    try:
        yield
    except UnresolvedNameError as error:
        raise NotFoundError(str(error)) from error
    except DatabaseError as error:
        raise StoreError(str(error)) from error
    except MomentError as error:
        raise InvalidArgumentError(str(error)) from error
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error), name=error.name) from error
