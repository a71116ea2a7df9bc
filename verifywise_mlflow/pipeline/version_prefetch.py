"""Requests the listing of versions while the listing of models is read. So the sync waits only for the slower listing.

Versions are listed in a stage of their own. Before it begins, another sync of the tenant may have stored a newer
listing: then the stage must list the versions again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from verifywise_mlflow.connector.models import ModelVersion
from verifywise_mlflow.connector.pagination import Listed, ListingPages
from verifywise_mlflow.connector.read_ahead import in_background
from verifywise_mlflow.persistence.row_mapping import Key


class VersionPrefetch:
    """A listing of versions whose first page has been requested."""

    def __init__(self, listing: ListingPages[ModelVersion, Key], stored_revision: int | None) -> None:
        """Request only the first page: the end of the listing needs the models that the server lists.

        Args:
            listing: a listing from which nothing has been read.
            stored_revision: the newest revision of the tenant's stored versions.
        """
        self._listing = listing
        self._stored_revision = stored_revision
        self._pages = listing.read_pages(listing.listed)
        self._first_page = in_background(lambda: next(self._pages, None))

    def is_current(self, stored_revision: int | None) -> bool:
        """Return whether no version was stored since the first page was requested."""
        return stored_revision == self._stored_revision

    def listing(self) -> ListingPages[ModelVersion, Key]:
        """Return the listing, to be read once."""
        return ListingPages(self._all_pages, self._listing.identify, self._listing.listed)

    def _all_pages(self, _: Listed[Key]) -> Iterator[Sequence[ModelVersion]]:
        first_page = self._first_page.result()
        if first_page is not None:
            yield first_page
        yield from self._pages
