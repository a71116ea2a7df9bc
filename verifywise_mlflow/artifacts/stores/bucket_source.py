"""The files of one folder of a bucket, listed in bulk: a thousand objects per request, across folders."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from verifywise_mlflow.artifacts.http_source import HttpSource
from verifywise_mlflow.artifacts.stores.http_client import StoreClient
from verifywise_mlflow.artifacts.stores.listing_cache import ListingCache
from verifywise_mlflow.artifacts.stores.protocol import ListingRequest, Page, StoreApi, StoredObject
from verifywise_mlflow.artifacts.tree_walk import rejection_reason, require_normalized
from verifywise_mlflow.connector.models import RemoteFile
from verifywise_mlflow.http.errors import InvalidResponseError, LimitExceededError

MAX_OBJECTS = 100_000
"""The maximum number of objects below one folder. A folder with more objects is not a model."""
MAX_PAGES = 1_000
"""The maximum number of pages in one folder's listing. A store may send small or empty pages, but not hundreds of
them."""


class Bucket:
    """One bucket or container, with a listing cache for all its folders. Threads may share an instance."""

    def __init__(self, client: StoreClient, api: StoreApi, scope: str) -> None:
        """Describe the bucket.

        Args:
            client: The HTTP client for the store.
            api: The API of the store.
            scope: A key prefix that no listing leaves; it ends with a slash, or is empty.
        """
        self.client = client
        self.api = api
        self._scope = scope
        self._cache = ListingCache()
        self._is_sorted = api.is_sorted
        self._listing_lock = threading.Lock()
        """Makes threads list one after the other: a page that one thread reads also has folders that others need."""

    def list_objects(self, folder: str) -> Sequence[StoredObject]:
        """Return all objects whose keys begin with the folder, which ends with a slash or is empty.

        Raises:
            HttpError: The listing failed, or has more objects or pages than allowed.
        """
        with self._listing_lock:
            objects_from_cache = self._list_with_neighbors(folder) if self._is_sorted else None
        if objects_from_cache is not None:
            return objects_from_cache
        objects: list[StoredObject] = []
        for page in self._pages(ListingRequest(folder)):
            objects += page.objects
            _check_count(objects)
        return objects

    def list_folder(self, folder: str) -> Page:
        """Return the objects and folders right below a folder.

        Raises:
            HttpError: The listing failed, or has more objects or pages than allowed.
        """
        objects: list[StoredObject] = []
        folders: list[str] = []
        for page in self._pages(ListingRequest(folder, is_by_folder=True)):
            objects += page.objects
            folders += page.folders
            _check_count([*objects, *folders])
        return Page(tuple(objects), tuple(folders), None)

    def _list_with_neighbors(self, folder: str) -> Sequence[StoredObject] | None:
        """Return the folder's objects, and cache the listed objects of its neighbors. None if listings are unsorted."""
        pages = 0
        while (cached := self._cache.lookup(folder)).resume is not None:
            _check_count(cached.objects)
            pages += 1
            _check_pages(pages)
            page = self._page(ListingRequest(self._scope, start=cached.resume))
            objects = [item for item in page.objects if item.key >= cached.resume]
            if not self._cache.add_page(cached.resume, objects, is_last=page.token is None):
                self._is_sorted = False  # some S3-compatible stores are not sorted; a single folder can still be listed
                return None
        return cached.objects

    def _pages(self, request: ListingRequest) -> Iterator[Page]:
        tokens: set[str] = set()
        while True:
            page = self._page(request)
            yield page
            if page.token is None:
                return
            if page.token in tokens:
                raise InvalidResponseError("the store's listing repeats a continuation token: it would never end")
            tokens.add(page.token)
            _check_pages(len(tokens) + 1)
            request = ListingRequest(request.prefix, request.is_by_folder, token=page.token)

    def _page(self, request: ListingRequest) -> Page:
        page = self.api.page(self.client.fetch(self.api.page_url(request)))
        unrelated = next((name for name in _names(page) if not name.startswith(request.prefix)), None)
        if unrelated is not None:
            raise InvalidResponseError("the store lists keys outside the requested prefix")
        return page


class BucketSource(HttpSource):
    """An ``ArtifactSource``: a folder of a bucket, with one subfolder for the model."""

    def __init__(self, bucket: Bucket, root: str, model_path: str) -> None:
        """Describe the root.

        Args:
            bucket: The bucket.
            root: The key of the root folder, without a trailing slash; empty for the bucket itself.
            model_path: The folder below the root that is listed in bulk; empty for the root itself.
        """
        super().__init__()
        self._bucket = bucket
        self._root = f"{root}/" if root else ""
        self._model_path = model_path
        self._directories: dict[str, list[RemoteFile]] | None = None

    def list_directory(self, path: str) -> Sequence[RemoteFile]:
        """List one directory. The model's folder is listed once, in bulk."""
        with self._read_errors():
            if self._is_in_model(path):
                if self._directories is None:
                    self._directories = self._tree()
                return self._directories.get(path, [])
            # This is the parent folder of a model that is a single file: one level suffices.
            page = self._bucket.list_folder(f"{self._root}{path}/" if path else self._root)
        folders = [RemoteFile(self._relative(name.removesuffix("/")), True, None) for name in page.folders]
        return folders + [self._file(item) for item in page.objects if not _is_placeholder(item)]

    @contextmanager
    def read(self, path: str, max_bytes: int) -> Iterator[Iterator[bytes]]:
        """Yield one object's first bytes in chunks."""
        require_normalized(path)
        url = self._bucket.api.object_url(f"{self._root}{path}")
        with self._open(self._bucket.client.stream(url, max_bytes)) as chunks:
            yield chunks

    def _tree(self) -> dict[str, list[RemoteFile]]:
        top = self._model_path
        directories: dict[str, list[RemoteFile]] = {top: []}
        for item in self._bucket.list_objects(f"{self._root}{top}/" if top else self._root):
            if _is_placeholder(item):
                continue
            file = self._file(item)
            if rejection_reason(file, top):
                directories[top].append(file)  # the walk rejects it
                continue
            self._add_directory(directories, file.path.rpartition("/")[0])
            directories[file.path.rpartition("/")[0]].append(file)
        return directories

    def _add_directory(self, directories: dict[str, list[RemoteFile]], path: str) -> None:
        while path not in directories:
            directories[path] = []
            parent = path.rpartition("/")[0]
            self._add_directory(directories, parent)
            directories[parent].append(RemoteFile(path, True, None))

    def _is_in_model(self, path: str) -> bool:
        return not self._model_path or path == self._model_path or path.startswith(f"{self._model_path}/")

    def _file(self, item: StoredObject) -> RemoteFile:
        return RemoteFile(self._relative(item.key), False, item.size, item.state)

    def _relative(self, key: str) -> str:
        return key.removeprefix(self._root)


def _is_placeholder(item: StoredObject) -> bool:
    """Return whether an object is the empty object that consoles create for a folder. Any other object is a file."""
    return item.key.endswith("/") and item.size == 0


def _check_count(items: Sequence[object]) -> None:
    if len(items) > MAX_OBJECTS:
        raise LimitExceededError(f"the folder has more than {MAX_OBJECTS:,} objects, the limit")


def _check_pages(pages: int) -> None:
    if pages > MAX_PAGES:
        raise LimitExceededError(f"the folder's listing has more than {MAX_PAGES:,} pages, the limit")


def _names(page: Page) -> Iterator[str]:
    yield from (item.key for item in page.objects)
    yield from page.folders
