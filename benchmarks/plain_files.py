"""The lower bound for files: several keep-alive connections list, read and hash files without any check.

Every listing and every file is a job of its own, so that all connections have work from the first folder on.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import queue
import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from urllib.parse import quote, urlencode, urlsplit
from xml.etree import ElementTree as ET

from benchmarks.task import PASSWORD_VARIABLE, USER, FileTask, ReadCounts, Task
from verifywise_mlflow.artifacts.stores.azure import AzureApi

_CHUNK = 256 * 1024

Names = Iterator[tuple[str, bool]]
"""Paths, and whether each is a folder."""


def read_files(task: Task) -> ReadCounts:
    """List all folders, and read and hash all files."""
    files = task.files
    assert files
    jobs: queue.SimpleQueue[tuple[str, bool] | None] = queue.SimpleQueue()
    counts, lock, unfinished = ReadCounts(), threading.Lock(), len(files.folders)
    failures: list[Exception] = []

    def work() -> None:
        nonlocal unfinished
        reader = _Reader(files, authorization(task))
        while (job := jobs.get()) is not None:
            try:
                path, is_folder = job
                found = list(reader.list_folder(path)) if is_folder else []
                size = 0 if is_folder else reader.read_file(path)
            except Exception as error:  # noqa: BLE001  # raised below, in the thread of the caller
                failures.append(error)
                found, size, is_folder = [], 0, True
            with lock:  # all jobs are added before another thread can finish one
                unfinished += len(found) - 1
                counts.files += not is_folder
                counts.file_bytes += size
                for name in found:
                    jobs.put(name)
                if not unfinished or failures:
                    for _ in range(files.connections):
                        jobs.put(None)

    for folder in files.folders:
        jobs.put((folder, True))
    threads = [threading.Thread(target=work) for _ in range(files.connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for failure in failures:
        raise failure
    return counts


def authorization(task: Task) -> dict[str, str]:
    """Return the headers that authenticate a request to the tracking server."""
    if not task.with_password:
        return {}
    pair = f"{USER}:{os.environ[PASSWORD_VARIABLE]}"
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


_UNVERIFIED = "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
"""moto requires a signature and does not verify it."""
_STORE_HEADERS = {
    "azure": {"x-ms-version": AzureApi.headers["x-ms-version"]},
    "s3": {"Authorization": _UNVERIFIED},
}


class _Reader:
    """One connection."""

    def __init__(self, task: FileTask, headers: dict[str, str]) -> None:
        parts = urlsplit(task.url)
        self._connection = HTTPConnection(parts.netloc, timeout=600)
        self._root, self._api, self._query = parts.path, task.api, task.query
        self._headers = headers | _STORE_HEADERS.get(task.api, {})

    def read_file(self, path: str) -> int:
        """Read and hash a file; return its size."""
        sha256, size = hashlib.sha256(), 0
        for chunk in self._get(self._file_url(path)):
            sha256.update(chunk)
            size += len(chunk)
        sha256.hexdigest()
        return size

    def list_folder(self, path: str) -> Names:
        """Yield the content of a folder: with MLflow, its entries; in a bucket, all files below it."""
        body = b"".join(self._get(self._folder_url(path)))
        match self._api:
            case "mlflow":
                for entry in json.loads(body)["files"]:
                    yield f"{path}/{entry['path']}", entry.get("is_dir", False)
            case "gcs":
                for entry in json.loads(body).get("items", []):
                    yield entry["name"], False
            case "s3" | "azure":
                name = "Key" if self._api == "s3" else "Name"
                for element in ET.fromstring(body).iter():  # noqa: S314  # our own server
                    if element.tag.rpartition("}")[2] == name:
                        yield element.text or "", False

    def _folder_url(self, path: str) -> str:
        match self._api:
            case "mlflow":
                return f"{self._root}/api/2.0/mlflow-artifacts/artifacts?{urlencode({'path': path})}"
            case "gcs":
                bucket = self._root.strip("/")
                return f"/storage/v1/b/{bucket}/o?{urlencode({'prefix': path + '/'})}"
            case "s3":
                return f"{self._root}/?{urlencode({'list-type': '2', 'prefix': path + '/'})}"
            case "azure":
                query = urlencode({"restype": "container", "comp": "list", "prefix": path + "/"})
                return f"{self._root}?{query}&{self._query}"

    def _file_url(self, path: str) -> str:
        match self._api:
            case "mlflow":
                return f"{self._root}/api/2.0/mlflow-artifacts/artifacts/{quote(path)}"
            case "gcs":
                return f"/download/storage/v1/b/{self._root.strip('/')}/o/{quote(path, safe='')}?alt=media"
            case "s3" | "azure":
                return f"{self._root}/{quote(path)}" + (f"?{self._query}" if self._query else "")

    def _get(self, url: str) -> Iterator[bytes]:
        try:
            response = self._send(url)
        except ConnectionError:  # the server has closed an idle connection
            self._connection.close()
            response = self._send(url)
        if response.status != 200:
            raise RuntimeError(f"{url}: {response.status} {response.read(500)!r}")
        while chunk := response.read(_CHUNK):
            yield chunk

    def _send(self, url: str) -> HTTPResponse:
        self._connection.request("GET", url, headers=self._headers)
        return self._connection.getresponse()
