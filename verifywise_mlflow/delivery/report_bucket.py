"""Uploads a report to a bucket.

A bucket cannot replace a folder atomically. So each report has its own path. The start page is written last and leads
to the newest report: readers see either the earlier report or the new report. Earlier reports stay until the bucket's
lifecycle rule deletes them, so the credentials need no right to read, list or delete.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from html import escape
from pathlib import Path
from typing import Final

from verifywise_mlflow.delivery.bucket_writer import open_bucket
from verifywise_mlflow.tenants.bucket import WritableBucket

START_PAGE: Final = "index.html"
MAX_CONCURRENT: Final = 8
"""The maximum number of objects that are written concurrently. A report has thousands of objects."""
_CONTENT_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
}


def upload_report(folder: Path, settings: WritableBucket, name: str, edition: str) -> str:
    """Upload a report and return the address of its start page, such as ``s3://bucket/reports/acme/index.html``.

    Args:
        folder: the folder of the report.
        settings: the bucket.
        name: the permanent name of the report in the bucket: the tenant's name.
        edition: the name of this report among the reports of the tenant.

    Raises:
        HttpError: the settings cannot be used, or an object could not be written. The start page still leads to the
            earlier report.
        SecretUnavailableError: a reference cannot be resolved.
        OSError: a file cannot be read.
    """
    base = f"{settings.path}{name}/"
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    with (
        open_bucket(settings, "the bucket of reports") as bucket,
        ThreadPoolExecutor(MAX_CONCURRENT, "upload") as threads,
    ):

        def put_file(path: Path) -> None:
            key = f"{base}{edition}/{path.relative_to(folder).as_posix()}"
            bucket.put(key, path.read_bytes(), _headers(path.suffix))

        for _ in threads.map(put_file, files):
            pass
        bucket.put(f"{base}{START_PAGE}", _start_page(edition), _headers(Path(START_PAGE).suffix))
    return f"s3://{settings.bucket}/{base}{START_PAGE}"


def _headers(suffix: str) -> dict[str, str]:
    return {"Content-Type": _CONTENT_TYPES.get(suffix, "application/octet-stream"), "Cache-Control": "no-cache"}


def _start_page(edition: str) -> bytes:
    """Return the page that leads to a report."""
    target = f"{escape(edition)}/{START_PAGE}"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="refresh" content="0; url={target}">\n<title>Model governance report</title>\n</head>\n'
        f'<body><p><a href="{target}">The latest report</a></p></body>\n</html>\n'
    ).encode()
