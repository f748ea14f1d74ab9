"""Many closings with photos: the jobs, the screens worked by script, and what the city holds afterwards."""

import base64
import io
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from live import Site
from PIL import Image
from playwright.sync_api import Page
from sqlalchemy import and_, select

from city.audit import events
from city.cases import transitions
from city.db import engine as db
from city.db.models import Case, Closure, Crew, ExpectedPhoto, Photo, Service, SyncOperation
from city.people import accounts
from city.places.lookup import Place

CREW = "crew1@demo.test"
# Saves through the crew's own screens, as fast as they go. `told` hears of each once the screen said "Saved".
CLOSE = """async ({ refs, pictures }) => {
  const until = async (what) => {
    while (!what()) await new Promise((resolve) => setTimeout(resolve, 5));
    return what();
  };
  for (const ref of refs) {
    location.hash = `#close/${ref}`;
    const form = () => document.querySelector(`a[data-back][href="#job/${ref}"]`)?.closest("form");
    const camera = await until(() => form()?.querySelector("[data-camera]"));
    if (!form().querySelector("[data-drop]")) {
      const bytes = Uint8Array.from(atob(pictures[ref]), (each) => each.charCodeAt(0));
      const files = new DataTransfer();
      files.items.add(new File([bytes], "after.jpg", { type: "image/jpeg" }));
      camera.files = files.files;
      camera.dispatchEvent(new Event("change", { bubbles: true }));
    }
    await until(() => form()?.querySelector("[data-drop]"));
    form().querySelector('input[value="fixed:photo"]').checked = true;
    form().requestSubmit();
    await until(() => document.querySelector("#main [data-list]") && !document.querySelector("#undo").hidden);
    await window.told(ref);
  }
  return refs.length;
}"""
# Time to think again is over when a test says so. Before the page's own scripts.
LATER = """(() => {
  const real = Date.now.bind(Date);
  let ahead = 0;
  Date.now = () => real() + ahead;
  window.later = (seconds) => (ahead += seconds * 1000);
})()"""
# What the phone's disk holds: the operations, and of each photo what its bytes hash to.
KEPT = """async () => {
  const base = await new Promise((resolve, reject) => {
    const request = indexedDB.open("outbox", 1);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  const all = (store) => new Promise((resolve, reject) => {
    const rows = base.transaction(store).objectStore(store);
    const [keys, values] = [rows.getAllKeys(), rows.getAll()];
    values.onsuccess = () => resolve(keys.result.map((key, i) => [key, values.result[i]]));
    values.onerror = () => reject(values.error);
  });
  const [waiting, sent, chunks] = [await all("ops"), await all("sent"), await all("chunks")];
  const kv = Object.fromEntries(await all("kv"));
  base.close();
  const photos = {};
  for (const [key, bytes] of chunks) {
    const [id, piece] = key.split(":");
    if (piece !== undefined) (photos[id] ??= []).push(bytes);
  }
  const hashes = {};
  for (const [id, pieces] of Object.entries(photos)) {
    const hash = await crypto.subtle.digest("SHA-256", await new Blob(pieces).arrayBuffer());
    hashes[id] = [...new Uint8Array(hash)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }
  const bare = ([, { op, result }]) => ({ op, result });
  return { waiting: waiting.map(bare), sent: sent.map(bare), hashes, problem: kv.problem, fails: kv.fails };
}"""


@dataclass(frozen=True)
class Kept:
    """What one phone holds. `hashes` are those of the bytes that lie there, by photo.

    `fails` counts the tries since one went well, and `problem` says what the last met.
    """

    waiting: list[dict[str, Any]]
    sent: list[dict[str, Any]]
    hashes: dict[str, str]
    problem: str | None = None
    fails: int | None = None

    def closed(self) -> Counter[str]:
        """How often each job was closed here."""
        return Counter(op["case"] for op in self.ops() if op["t"] == "close")

    def ops(self) -> list[dict[str, Any]]:
        return [entry["op"] for entry in [*self.waiting, *self.sent]]


def kept(page: Page) -> Kept:
    """Reads the outbox past the application."""
    return Kept(**page.evaluate(KEPT))


def give_jobs(site: Site, number: int, code: str = "light-out") -> list[str]:
    """More jobs for the crew, streetlights where nothing else is said, by their numbers."""
    with db.transaction(site.engine) as s:
        dana = accounts.actor(accounts.by_email(s, "dispatcher@demo.test"))
        crew = s.scalars(select(Crew).where(Crew.name == "Lights 2")).one()
        service, now = s.get_one(Service, code), datetime.now(UTC)
        given = []
        for i in range(number):
            place = Place(39.6 + i / 500, -71.2, "address", f"{100 + i} Tansy Street")
            case = transitions.open_case(s, service, place, by=dana, at=now)
            transitions.assign(s, case, crew, by=dana, at=now)
            given.append(case.number)
    return given


def pictures(refs: list[str]) -> dict[str, str]:
    """A photo of its own for each job, every tenth in two pieces, as base64."""
    noise = random.Random(4)
    made = {}
    for i, ref in enumerate(refs):
        width, height = (760, 570) if i % 10 == 0 else (160, 120)
        out = io.BytesIO()
        Image.frombytes("RGB", (width, height), noise.randbytes(width * height * 3)).save(
            out, "JPEG", quality=85
        )
        made[ref] = base64.b64encode(out.getvalue()).decode()
    return made


def close_all(page: Page, refs: list[str]) -> list[dict[str, Any]]:
    """Saves a closing with a photo for each job, and returns the operations as the phone keeps them."""
    told: list[str] = []
    begin_closing(page, refs, pictures(refs), told)
    finish_closing(page)
    assert told == refs
    return [op for op in kept(page).ops() if op["case"] in set(refs)]


def begin_closing(page: Page, refs: list[str], shots: dict[str, str], told: list[str]) -> None:
    """Lets the screens save one job after another; `told` grows. Returns at once; see `finish_closing`."""
    page.expose_binding("told", lambda _source, ref: told.append(ref))
    page.evaluate(f"(given) => {{ window.closing = ({CLOSE})(given) }}", {"refs": refs, "pictures": shots})


def finish_closing(page: Page) -> None:
    page.evaluate("window.closing")


def send_now(page: Page) -> None:
    """A tap on the button, with nothing left that might be undone."""
    page.evaluate("window.later(11)")
    page.evaluate("location.hash = '#outbox'")
    page.locator("button[data-sync]").tap()


def wait_for(what: Callable[[], bool], page: Page, within: float = 60) -> None:
    deadline = time.monotonic() + within
    while not what():
        assert time.monotonic() < deadline
        page.wait_for_timeout(100)


def assert_once(site: Site, ops: list[dict[str, Any]]) -> None:
    """Each closing was applied once, with its photo, whose bytes are those that the phone sent."""
    declared = {photo["id"]: photo["sha256"] for op in ops for photo in op["photos"]}
    refs = [op["case"] for op in ops]
    with db.read_session(site.engine) as s:
        rows = s.scalars(
            select(SyncOperation).where(SyncOperation.case_ref.in_(refs), SyncOperation.t == "close")
        ).all()
        assert sorted(row.id for row in rows) == sorted(op["id"] for op in ops)
        assert {row.code for row in rows} == {"applied"}
        ended = and_(Closure.case_id == Case.id, Closure.cycle == Case.cycle)  # not one of before a reopening
        closed = select(Case.number).join(Closure, ended).where(Case.number.in_(refs))
        assert sorted(s.scalars(closed)) == sorted(refs)
        came = select(ExpectedPhoto.id, Photo.upload_sha256).join(Photo, Photo.id == ExpectedPhoto.photo_id)
        photos = s.execute(came.where(ExpectedPhoto.id.in_(declared), Photo.stored_at.is_not(None))).all()
        assert sorted((row[0], row[1]) for row in photos) == sorted(declared.items())
        assert events.verify(s) == []


def arrived(site: Site, refs: list[str]) -> int:
    """How many of these jobs are closed with everything that belongs to them."""
    with db.read_session(site.engine) as s:
        ops = s.scalars(
            select(SyncOperation.id).where(SyncOperation.case_ref.in_(refs), SyncOperation.code == "applied")
        ).all()
        missing = select(ExpectedPhoto.operation_id).outerjoin(Photo, Photo.id == ExpectedPhoto.photo_id)
        late = missing.where(ExpectedPhoto.operation_id.in_(ops), Photo.stored_at.is_(None))
        return len(ops) - len(set(s.scalars(late)))
