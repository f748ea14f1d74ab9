"""What field sync costs on the phone: how fast it keeps work, and whether a long day without signal has room.

    bin/bench sync-phone [--quick]

A crew's phone (Chromium, 360 × 740) has 500 jobs and no signal. It closes jobs on its own screens, takes a
photo of twelve megapixels, then queues 2,000 operations and 300 photos through the engine that ships. With
all that on its disk it closes jobs again and starts anew; then there is signal, and all arrives once.
`--quick` is for seeing that it runs.
"""

import argparse
import base64
import io
import json
import statistics
import sys
import time
from dataclasses import dataclass
from random import Random
from typing import Any

from PIL import Image
from playwright.sync_api import BrowserContext, Page, sync_playwright
from sqlalchemy import func, select

from bench import _crews
from bench._databases import database
from bench._site import BROWSER_ARGUMENTS, ROOT, Site, browser, fill, running, say
from city.db import engine as db
from city.db.models import ExpectedPhoto, SyncOperation

PHONE: dict[str, Any] = {
    "viewport": {"width": 360, "height": 740}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True,
}  # fmt: skip
# From the project's own targets.
TARGETS = {"saved_p95_ms": 100.0, "full_saved_p95_ms": 100.0, "photo_ms": 1500.0}
# Closes jobs on the screens; the times from the tap on Save until the list says that it is saved.
CLOSE = """async (refs) => {
  const until = async (what) => {
    while (!what()) await new Promise(requestAnimationFrame);
    return what();
  };
  const took = [];
  for (const ref of refs) {
    location.hash = `#close/${ref}`;
    const back = await until(() => document.querySelector(`a[data-back][href="#job/${ref}"]`));
    const form = back.closest("form");
    form.querySelector('input[value="fixed:dark"]').checked = true;
    const began = performance.now();
    form.requestSubmit();
    await until(() => document.querySelector("#main [data-list]") && !document.querySelector("#undo").hidden);
    took.push(performance.now() - began);
  }
  return took;
}"""
# Takes one photo on the closing screen; the time until its small picture stands there.
SHOOT = """async ({ ref, picture }) => {
  const bytes = Uint8Array.from(atob(picture), (each) => each.charCodeAt(0));
  const until = async (what) => {
    while (!what()) await new Promise(requestAnimationFrame);
    return what();
  };
  location.hash = `#close/${ref}`;
  const form = () => document.querySelector(`a[data-back][href="#job/${ref}"]`)?.closest("form");
  const camera = await until(() => form()?.querySelector("[data-camera]"));
  const files = new DataTransfer();
  files.items.add(new File([bytes], "after.jpg", { type: "image/jpeg" }));
  camera.files = files.files;
  const began = performance.now();
  camera.dispatchEvent(new Event("change", { bubbles: true }));
  await until(() => form()?.querySelector("[data-drop]"));
  return performance.now() - began;
}"""
# Notes and photos through the page's own engine. A few bytes at each photo's end make no two alike.
QUEUE = """async ({ refs, notes, photos, picture }) => {
  const crew = [...document.scripts].find(({ src }) => src.includes("/js/crew/main.js")).src;
  const { engine } = await import(crew.replace("main.js", "session.js"));
  const { jobs } = await engine.view();
  const by = new Map(jobs.map((job) => [job.ref, job]));
  const bytes = Uint8Array.from(atob(picture), (each) => each.charCodeAt(0));
  const took = [];
  for (let i = 0; i < notes + photos; i++) {
    const job = by.get(refs[i % refs.length]);
    const began = performance.now();
    if (i < notes) {
      await engine.add("note", job, { words: `Looked at it, number ${i}.` });
    } else {
      const data = new Uint8Array([...bytes, ...crypto.getRandomValues(new Uint8Array(16))]);
      const shot = await engine.keepPhoto(job.ref, data.buffer, "image/jpeg");
      await engine.add("photo", job, {}, { photos: [shot] });
    }
    took.push(performance.now() - began);
  }
  return took;
}"""


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    jobs: int = 500
    ops: int = 2000  # those with a photo included
    photos: int = 300
    closings: int = 40


QUICK = Size(jobs=30, ops=60, photos=5, closings=5)


def main() -> int:
    """0 when it was measured and everything arrived once; 1 when something is missing or doubled."""
    asked = argparse.ArgumentParser(prog="bin/bench sync-phone")
    asked.add_argument("--quick", action="store_true", help="use a little of everything")
    size = QUICK if asked.parse_args().quick else Size()
    with database("sqlite", ROOT / "var" / "bench" / "sync-phone") as base:
        say("sync-phone: a small demo city and a crew with its jobs")
        fill(ROOT / "var" / "bench" / "sync-phone", 200, **base.settings)
        engine = db.connect(base.url)
        with db.transaction(engine) as s:
            (code,) = _crews.add(s, "Van", size.jobs, seed=3)
        with running(ROOT / "var" / "bench" / "sync-phone", **base.settings) as site, sync_playwright() as p:
            chromium = p.chromium.launch(executable_path=browser(), args=list(BROWSER_ARGUMENTS))
            line = _measured(chromium.new_context(**PHONE), site, code, size)
            chromium.close()
        with db.read_session(engine) as s:
            line["arrived"] = s.scalar(select(func.count()).select_from(SyncOperation)) or 0
            line["photos_missing"] = (
                s.scalar(select(func.count()).where(ExpectedPhoto.photo_id.is_(None))) or 0
            )
        engine.dispose()
    line["met"] = {f"{key}<={most:g}": line[key] <= most for key, most in TARGETS.items()}
    print(json.dumps(line), flush=True)
    return 0 if (line["arrived"], line["photos_missing"]) == (line["kept"], 0) else 1


def _measured(context: BrowserContext, site: Site, code: str, size: Size) -> dict[str, Any]:
    context.set_default_timeout(120_000)
    page = context.new_page()
    page.goto(f"{site.url}/crew")
    page.fill("#code", code)
    page.keyboard.press("Enter")
    page.wait_for_function("(n) => document.querySelectorAll('a.job').length >= n", arg=size.jobs)
    refs = [
        href.removeprefix("#job/")
        for href in page.eval_on_selector_all("a.job", "all => all.map((a) => a.hash)")
    ]
    page.wait_for_function(
        "async () => (await caches.keys()).some((name) => name.startsWith('cityline-crew-'))"
    )
    page.wait_for_timeout(3000)  # the shell is kept file by file
    context.set_offline(True)
    ends, others = refs[: 2 * size.closings + 1], refs[2 * size.closings + 1 :] or refs
    saved = page.evaluate(CLOSE, ends[: size.closings])
    photo = page.evaluate(SHOOT, {"ref": ends[-1], "picture": _picture(4000, 3000)})
    say(f"sync-phone: queueing {size.ops} operations, {size.photos} of them with a photo")
    left = size.ops - 2 * size.closings
    told = {"refs": others, "notes": left - size.photos, "photos": size.photos}
    told["picture"] = _picture(1600, 1200)  # as the phone makes them smaller
    queued = page.evaluate(QUEUE, told)
    full = page.evaluate(CLOSE, ends[size.closings : -1])
    began = time.perf_counter()
    page.goto(f"{site.url}/crew")
    page.reload()
    page.wait_for_selector("a.job")
    start = time.perf_counter() - began
    usage = page.evaluate("async () => (await navigator.storage.estimate()).usage")
    say("sync-phone: the signal is back")
    context.set_offline(False)
    began = time.perf_counter()
    _send_all(page)
    line = {"bench": "sync.phone", "jobs": size.jobs, "kept": size.ops, "photos": size.photos}
    for name, took in (("saved", saved), ("queued", queued), ("full_saved", full)):
        line |= {f"{name}_p50_ms": _ms(statistics.median(took)), f"{name}_p95_ms": _ms(_p95(took))}
    return line | {
        "photo_ms": _ms(photo), "full_start_ms": _ms(start * 1000), "usage_mb": round(usage / 1e6),
        "sent_s": round(time.perf_counter() - began),
    }  # fmt: skip


def _send_all(page: Page) -> None:
    """Until the outbox is empty and every photo went."""
    script = """async () => {
      const crew = [...document.scripts].find(({ src }) => src.includes("/js/crew/main.js")).src;
      const { engine } = await import(crew.replace("main.js", "session.js"));
      await engine.sync();
      const { outbox, shots } = await engine.view();
      const refused = shots.filter((shot) => shot.refused);
      if (refused.length) throw new Error(`the city takes no such photo: ${refused[0].refused}`);
      return outbox.length + shots.filter((shot) => shot.op && !shot.uploaded).length;
    }"""
    deadline = time.monotonic() + 900
    while page.evaluate(script):
        if time.monotonic() > deadline:
            raise RuntimeError("not everything was sent within 15 minutes")
        page.wait_for_timeout(500)


def _picture(width: int, height: int) -> str:
    """Something as restless as a street, as a camera packs it; in base64."""
    rough = Image.frombytes("RGB", (400, 300), Random(12).randbytes(400 * 300 * 3)).resize((width, height))
    out = io.BytesIO()
    rough.save(out, "JPEG", quality=90)
    return base64.b64encode(out.getvalue()).decode()


def _p95(took: list[float]) -> float:
    return sorted(took)[min(len(took) - 1, int(len(took) * 0.95))]


def _ms(took: float) -> float:
    return round(took, 1)


if __name__ == "__main__":
    sys.exit(main())
