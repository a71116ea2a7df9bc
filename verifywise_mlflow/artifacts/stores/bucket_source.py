"""The files of one folder of a bucket, listed in bulk: a thousand objects a request, whatever their folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from verifywise_mlflow.artifacts.source import ArtifactReadError
from verifywise_mlflow.artifacts.stores.http_client import StoreClient
from verifywise_mlflow.artifacts.stores.listing_cache import ListingCache
from verifywise_mlflow.artifacts.stores.protocol import ListingRequest, Page, StoreApi, StoredObject
from verifywise_mlflow.artifacts.walk import rejection_reason
from verifywise_mlflow.connector.models import RemoteFile
from verifywise_mlflow.http.errors import HttpError, InvalidResponseError, LimitExceededError

MAX_OBJECTS = 100_000
"""Below one folder. What holds more is no model."""


class Bucket:
    """One bucket or container; what its listings have told serves all folders of it."""

    def __init__(self, connection: StoreClient, dialect: StoreApi, scope: str) -> None:
        """Describe the bucket.

        Args:
            connection: To the store.
            dialect: How it is spoken to.
            scope: What every listing stays below: a key's beginning that ends with a slash, or empty.
        """
        self.connection = connection
        self.dialect = dialect
        self._scope = scope
        self._known = ListingCache()
        self._keeps_order = dialect.is_sorted

    def list_objects(self, folder: str) -> Sequence[StoredObject]:
        """Return all objects whose keys begin with the folder, which ends with a slash or is empty.

        Raises:
            HttpError: They could not all be listed.
        """
        if self._keeps_order and (found := self._over_neighbours(folder)) is not None:
            return found
        objects: list[StoredObject] = []
        for page in self._pages(ListingRequest(folder)):
            objects += page.objects
            _bounded(objects)
        return objects

    def list_folder(self, folder: str) -> Page:
        """Return the objects and folders right below a folder.

        Raises:
            HttpError: They could not all be listed.
        """
        objects: list[StoredObject] = []
        folders: list[str] = []
        for page in self._pages(ListingRequest(folder, is_by_folder=True)):
            objects += page.objects
            folders += page.folders
            _bounded([*objects, *folders])
        return Page(tuple(objects), tuple(folders), None)

    def _over_neighbours(self, folder: str) -> Sequence[StoredObject] | None:
        """List from the folder on; null where the store does not keep the order that this needs."""
        while (known := self._known.lookup(folder)).resume is not None:
            _bounded(known.objects)
            page = self._page(ListingRequest(self._scope, start=known.resume))
            objects = [found for found in page.objects if found.key >= known.resume]
            if not self._known.add_page(known.resume, objects, is_last=page.token is None):
                self._keeps_order = False  # some S3 are not as sorted as they say; a folder alone can still be listed
                return None
        return known.objects

    def _pages(self, question: ListingRequest) -> Iterator[Page]:
        tokens: set[str] = set()
        while True:
            page = self._page(question)
            yield page
            if page.token is None:
                return
            if page.token in tokens:
                raise InvalidResponseError("the store's listing goes round in circles")
            tokens.add(page.token)
            question = ListingRequest(question.prefix, question.is_by_folder, token=page.token)

    def _page(self, question: ListingRequest) -> Page:
        page = self.dialect.page(self.connection.fetch(self.dialect.page_url(question)))
        strange = next((name for name in _names(page) if not name.startswith(question.prefix)), None)
        if strange is not None:
            raise InvalidResponseError("the store lists what was not asked for")
        return page


class BucketSource:
    """An ``ArtifactSource``: a folder of a bucket, of which one subfolder is the model's."""

    def __init__(self, bucket: Bucket, root: str, model_path: str) -> None:
        """Describe the root.

        Args:
            bucket: Where it lies.
            root: The key of the root folder, without a slash at its end; empty for the bucket itself.
            model_path: The folder below the root that is listed whole; empty for the root itself.
        """
        self._bucket = bucket
        self._root = f"{root}/" if root else ""
        self._model_path = model_path
        self._directories: dict[str, list[RemoteFile]] | None = None
        self.has_retryable_failure = False
        """Whether something could not be read that a later try may read."""

    def list_directory(self, path: str) -> Sequence[RemoteFile]:
        """List the entries below a path: of the model's folder from memory, once it has been listed whole."""
        try:
            if self._is_models(path):
                if self._directories is None:
                    self._directories = self._tree()
                return self._directories.get(path, [])
            # Of the folder around a model that is a single file, only the one level is wanted.
            page = self._bucket.list_folder(f"{self._root}{path}/" if path else self._root)
        except HttpError as error:
            raise self._unreadable(error) from error
        folders = [RemoteFile(self._relative(name.removesuffix("/")), True, None) for name in page.folders]
        return folders + [self._file(found) for found in page.objects if not _is_placeholder(found)]

    @contextmanager
    def read(self, path: str, max_bytes: int) -> Iterator[Iterator[bytes]]:
        """Give one object's first bytes in chunks."""
        if rejection_reason(RemoteFile(path, False, None), ""):
            raise ArtifactReadError("its name is not in its plain form")
        url = self._bucket.dialect.object_url(f"{self._root}{path}")
        try:
            with self._bucket.connection.stream(url, max_bytes) as chunks:
                yield self._guarded(chunks)
        except HttpError as error:
            raise self._unreadable(error) from error

    def _tree(self) -> dict[str, list[RemoteFile]]:
        top = self._model_path
        directories: dict[str, list[RemoteFile]] = {top: []}
        for found in self._bucket.list_objects(f"{self._root}{top}/" if top else self._root):
            if _is_placeholder(found):
                continue
            file = self._file(found)
            if rejection_reason(file, top):
                directories[top].append(file)  # told and refused where the listing is judged
                continue
            self._grow(directories, file.path.rpartition("/")[0])
            directories[file.path.rpartition("/")[0]].append(file)
        return directories

    def _grow(self, directories: dict[str, list[RemoteFile]], path: str) -> None:
        while path not in directories:
            directories[path] = []
            parent = path.rpartition("/")[0]
            self._grow(directories, parent)
            directories[parent].append(RemoteFile(path, True, None))

    def _is_models(self, path: str) -> bool:
        return not self._model_path or path == self._model_path or path.startswith(f"{self._model_path}/")

    def _file(self, found: StoredObject) -> RemoteFile:
        return RemoteFile(self._relative(found.key), False, found.size)

    def _relative(self, key: str) -> str:
        return key.removeprefix(self._root)

    def _guarded(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from chunks
        except HttpError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: HttpError) -> ArtifactReadError:
        self.has_retryable_failure = self.has_retryable_failure or error.retryable
        return ArtifactReadError(str(error))


def _is_placeholder(found: StoredObject) -> bool:
    """Whether it is the empty object by which consoles show a folder. One with content is told as what it is."""
    return found.key.endswith("/") and found.size == 0


def _bounded(found: Sequence[object]) -> None:
    if len(found) > MAX_OBJECTS:
        raise LimitExceededError(f"more than {MAX_OBJECTS:,} objects lie there, the limit")


def _names(page: Page) -> Iterator[str]:
    yield from (found.key for found in page.objects)
    yield from page.folders
