"""Stores: where the bytes of photos are kept for good, each under its SHA-256; a folder or a bucket."""

import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

from boto3.session import Session as Boto
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from city import files
from city.settings import Settings

HASH = re.compile("[0-9a-f]{64}")  # what bytes in a store are called


class StoreDown(Exception):
    """The store cannot be reached or used. The photo is safe where it was; try again later."""


class Store(Protocol):
    """Where JPEGs are kept for good, each under its SHA-256. Every method may raise StoreDown."""

    def put(self, name: str, data: bytes) -> None:
        """Returns once the bytes would survive a power cut."""

    def get(self, name: str) -> bytes:
        """The bytes; raises KeyError where there are none."""

    def has(self, name: str) -> bool:
        """Whether there are bytes under that name, without reading them."""

    def delete(self, name: str) -> None:
        """Removes the bytes; none there is no fault."""

    def names(self, after: str = "", before: datetime | None = None) -> Iterator[str]:
        """Every hash behind `after` that has bytes here, in order; only those last put before `before`."""

    def check(self) -> None:
        """Returns when the store could take a photo now."""


def open_store(settings: Settings) -> Store:
    """The store that `photo_store` names: `file:/abs/folder` or `s3://bucket?endpoint=https://…`."""
    url = settings.photo_store
    if url.startswith("file:"):
        return FolderStore(Path(url.removeprefix("file:")))
    parts = urlsplit(url)
    return BucketStore(parts.netloc, parts.path.strip("/"), parse_qs(parts.query).get("endpoint", [None])[0])


class FolderStore:
    """Files `ab/cd/<sha256>.jpg` in a folder of this machine. A file once there is never written again."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, name: str, data: bytes) -> None:
        path = self._path(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.is_file():
                self._write(path, data)
            # Also for a file found there: whoever wrote it may have died before this step.
            for folder in (path.parent, path.parent.parent, self._root):
                files.fsync(folder)
        except OSError as fault:
            raise StoreDown(str(fault)) from fault

    def get(self, name: str) -> bytes:
        path = self._path(name)
        try:
            if not path.is_file():  # a pipe in its place would be waited at for ever
                raise KeyError(name)
            return path.read_bytes()
        except FileNotFoundError:
            raise KeyError(name) from None
        except OSError as fault:
            raise StoreDown(str(fault)) from fault

    def has(self, name: str) -> bool:
        return self._path(name).is_file()

    def delete(self, name: str) -> None:
        path = self._path(name)
        try:
            # The star: an erasure must also take what a killed process left half written.
            for found in path.parent.glob(f"{name}.*"):
                found.unlink(missing_ok=True)
            if path.parent.exists():
                files.fsync(path.parent)
        except OSError as fault:
            raise StoreDown(str(fault)) from fault

    def names(self, after: str = "", before: datetime | None = None) -> Iterator[str]:
        try:
            for folder in sorted(self._root.glob("??/??")):
                if folder.parent.name + folder.name >= after[:4]:
                    yield from self._names_in(folder, after, before)
        except OSError as fault:
            raise StoreDown(str(fault)) from fault

    def check(self) -> None:
        probe = self._root / f"check-{uuid.uuid4()}"
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            files.write(probe, b"photo store")
            probe.unlink()
        except OSError as fault:
            raise StoreDown(str(fault)) from fault

    def _path(self, name: str) -> Path:
        _valid(name)
        return self._root / name[:2] / name[2:4] / f"{name}.jpg"

    def _names_in(self, folder: Path, after: str, before: datetime | None) -> list[str]:
        """Also of what a killed process left half written, which delete() takes with it."""
        put: dict[str, float] = {}
        for entry in os.scandir(folder):
            name = entry.name.partition(".")[0]
            if HASH.fullmatch(name) and name > after:
                try:
                    put[name] = max(put.get(name, 0.0), entry.stat().st_mtime if before else 0.0)
                except FileNotFoundError:  # erased, or written to its end, while we were looking
                    continue
        return sorted(name for name, at in put.items() if before is None or at < before.timestamp())

    def _write(self, path: Path, data: bytes) -> None:
        part = path.with_suffix(f".{uuid.uuid4()}.part")
        try:
            files.write(part, data)
            part.rename(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


class BucketStore:
    """Objects `<sha256>.jpg` in a bucket that speaks S3 and exists already. Credentials: the usual AWS_*."""

    def __init__(self, bucket: str, prefix: str, endpoint: str | None) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        # Short waits: a person may be standing on the pavement behind this call, and the worker tries again.
        config = Config(
            connect_timeout=3,
            read_timeout=10,
            retries={"mode": "standard", "total_max_attempts": 2},
            signature_version="s3v4",
            s3={"addressing_style": "path" if endpoint else "auto"},
            # Checksum trailers are younger than many S3 servers.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        boto = Boto()
        self._client = boto.client(
            "s3", endpoint_url=endpoint, config=config, region_name=boto.region_name or "us-east-1"
        )

    def put(self, name: str, data: bytes) -> None:
        with _asking():
            self._client.put_object(
                Bucket=self._bucket, Key=self._key(name), Body=data, ContentType="image/jpeg"
            )

    def get(self, name: str) -> bytes:
        with _asking(name):
            body: bytes = self._client.get_object(Bucket=self._bucket, Key=self._key(name))["Body"].read()
        return body

    def has(self, name: str) -> bool:
        try:
            with _asking(name):
                self._client.head_object(Bucket=self._bucket, Key=self._key(name))
        except KeyError:
            return False
        return True

    def delete(self, name: str) -> None:
        with _asking():
            self._client.delete_object(Bucket=self._bucket, Key=self._key(name))

    def names(self, after: str = "", before: datetime | None = None) -> Iterator[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix, StartAfter=f"{self._prefix}{after}.jpg" if after else ""
        )
        with _asking():
            for page in pages:
                for entry in page.get("Contents", []):
                    name = entry["Key"].removeprefix(self._prefix).removesuffix(".jpg")
                    if HASH.fullmatch(name) and (before is None or entry["LastModified"] < before):
                        yield name

    def check(self) -> None:
        with _asking():
            self._client.head_bucket(Bucket=self._bucket)

    def _key(self, name: str) -> str:
        _valid(name)
        return f"{self._prefix}{name}.jpg"


@contextmanager
def _asking(name: str = "") -> Iterator[None]:
    """Makes StoreDown of the client's faults, and KeyError where the server has nothing called `name`."""
    try:
        yield
    except (ClientError, BotoCoreError) as fault:
        code = fault.response["Error"]["Code"] if isinstance(fault, ClientError) else ""
        if name and code in ("NoSuchKey", "404"):  # a HEAD has no body that could say it in words
            raise KeyError(name) from None
        raise StoreDown(str(fault)) from fault


def _valid(name: str) -> None:
    # Names come out of URLs too: nothing but a hash may become a path.
    if not HASH.fullmatch(name):
        raise KeyError(name)
