"""A phone's work that was carried to the city as a file, because the phone never found signal again.

The file is what "Save my work to a file" writes: operations as they would have been sent, and photos with
their bytes. It goes the same way as an exchange, so what the city has already is not taken twice.
"""

import base64
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, select

from city.audit.events import Actor
from city.db.engine import read_session, transaction
from city.db.in_list import is_in
from city.db.models import Device, Person, SyncOperation
from city.lifecycle import Refused
from city.people import accounts
from city.photos import photos, processing, storage
from city.settings import Settings
from sync import devices, expected_photos, protocol, push, uploads
from sync.merge import rules_of
from sync.protocol import RECORDED, Unreadable

ENDED = ("withdrawn", "dismissed", "erased")  # recorded, and nobody looks at it any more
BATCH_BYTES = 200_000
MOST_BYTES = 1_000_000_000  # of a file: a phone full of photos, each a third longer in letters


def import_file(
    engine: Engine, store: storage.Store, settings: Settings, file: bytes, at: datetime, *, owner: str = ""
) -> Counter[str]:
    """Takes all that is in `file`. Returns how often each result was given, none of them 0.

    Where nobody has to look at it, its `why` stands for the result (ENDED). Besides: `known`, operations that
    were here before, `too_large`, those that no exchange takes, `photos` that are here now,
    `photos_known` that were before, `photos_gone` whose bytes are neither here nor in the file, and
    `photos_refused`.

    `owner` is the address of whoever had the phone, where a restore has lost it.
    Raises Unreadable for a file that is none of ours, Refused `unknown_device` where the phone is not known
    or somebody else's, `unknown_person`, and push.Busy. Taking the same file again changes nothing.
    """
    told = _read(file)
    person_id = _owned(engine, told["device"], owner, at) if owner else told["person"]
    with read_session(engine) as s:
        device = s.get(Device, told["device"])
        if device is None or device.person_id != person_id:
            raise Refused("unknown_device")
        by = accounts.actor(s.get_one(Person, device.person_id))
        deposit = "revoked" if device.revoked_at else ""
        sender = push.Sender(device.id, by, deposit, rules=rules_of(settings), by_hand=True)
    counted: Counter[str] = Counter()
    for ops in _batches(told["ops"]):
        body = {
            "protocol": protocol.PROTOCOL,
            "nonce": "carried by hand",
            "device": sender.device_id,
            "ops": ops,
        }
        try:
            asked = protocol.parse(json.dumps(body).encode())
        except Unreadable:  # one entry is larger than an exchange; the others are none the worse for it
            counted["too_large"] += len(ops)
            continue
        if known := _known(engine, sender, asked.ops):
            counted["known"] += known
        taken = push.push(engine, sender, asked.ops, at)
        counted.update(_became(result) for result in taken.results)
        photos.move_staged_to_storage(engine, store, settings.var, at, only=taken.photos)
    for photo in told["photos"]:
        try:
            counted[_photo(engine, store, settings, sender.device_id, photo, by, at)] += 1
        except (processing.BadPhoto, uploads.WrongBytes, uploads.TooMuch, uploads.Crowded, Unreadable):
            counted["photos_refused"] += 1
    return counted


def _owned(engine: Engine, device_id: str, owner: str, at: datetime) -> int:
    with transaction(engine) as s:
        person = accounts.by_email(s, owner)
        if person is None:
            raise Refused("unknown_person")
        if s.get(Device, device_id) is None:
            devices.report_lost(s, device_id, person, at)
        return person.id


def _read(file: bytes) -> dict[str, Any]:
    try:
        told = json.loads(file)
    except (ValueError, RecursionError):
        raise Unreadable("not_json") from None
    shape = {"cityline": str, "device": str, "person": int, "ops": list, "photos": list}
    if not isinstance(told, dict) or any(
        not isinstance(told.get(name), kind) for name, kind in shape.items()
    ):
        raise Unreadable("not_an_outbox")
    if told["cityline"] != "outbox":
        raise Unreadable("not_an_outbox")
    if told.get("protocol") != protocol.PROTOCOL:
        raise Unreadable("protocol")
    keys = {"id": str, "sha256": str, "data": str}
    for photo in told["photos"]:
        if not isinstance(photo, dict) or any(not isinstance(photo.get(k), kind) for k, kind in keys.items()):
            raise Unreadable("not_an_outbox")
        if not protocol.is_id(photo["id"]):  # it becomes a file's name
            raise Unreadable("not_an_outbox")
    if not protocol.is_id(told["device"]):
        raise Unreadable("not_an_outbox")
    return told


def _batches(ops: list[Any]) -> Iterator[list[Any]]:
    """In the phone's order, none larger than one exchange."""
    batch: list[Any] = []
    size = 0
    for op in ops:
        bytes_ = len(json.dumps(op))
        if batch and (size + bytes_ > BATCH_BYTES or len(batch) == protocol.MAX_OPERATIONS):
            yield batch
            batch, size = [], 0
        batch.append(op)
        size += bytes_
    if batch:
        yield batch


def _became(told: Mapping[str, Any]) -> str:
    why = told.get("why")
    return str(why if told["result"] == RECORDED and why in ENDED else told["result"])


def _known(
    engine: Engine, sender: push.Sender, ops: Sequence[protocol.Operation | protocol.Malformed]
) -> int:
    """How many of these very bodies the phone sent before: as push finds out, which never takes one twice."""
    asked = select(SyncOperation.body_hash).where(
        SyncOperation.device_id == sender.device_id, is_in(SyncOperation.body_hash, {op.hash for op in ops})
    )
    with read_session(engine) as s:
        here = set(s.scalars(asked))
    return sum(op.hash in here for op in ops)


def _photo(
    engine: Engine,
    store: storage.Store,
    settings: Settings,
    device_id: str,
    photo: dict[str, str],
    by: Actor,
    at: datetime,
) -> str:
    with read_session(engine) as s:
        here, complete = uploads.offset(s, settings.var, device_id, photo["id"])
        waits = expected_photos.expected(s, device_id, photo["id"])
    if waits and photo["sha256"] not in {row.sha256 for row in waits}:
        raise uploads.WrongBytes
    try:
        data = base64.b64decode(photo["data"], validate=True)
    except ValueError:  # letters that are none of base64's, or none of ASCII's
        raise Unreadable("photo") from None
    if complete:
        return "photos_known"
    if not data:  # the phone let its bytes go, and what had arrived was lost here; or they were lost to it
        return "photos_gone"
    uploads.append(settings.var, device_id, photo["id"], here, data[here:], len(data))
    done = uploads.finish(engine, settings.var, device_id, photo["id"], photo["sha256"], by=by, at=at)
    photos.move_staged_to_storage(engine, store, settings.var, at, only=[done] if done else [])
    return "photos"
