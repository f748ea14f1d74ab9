"""What must be true when all is quiet: the ledger of intentions against the city's own rows."""

import hashlib
import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MARK = re.compile(r"§\d+\.\d+§")
FINAL = ("applied", "merged", "recorded", "quarantined")
NEVER = ("erased", "withdrawn", "dismissed")  # it never counts, whatever was said in it


def broken(
    db: sqlite3.Connection,
    ledger: list[dict[str, Any]],
    store: Path,
    deposited: set[str],
    away: set[str],
) -> list[list[str]]:
    """Every promise that was not kept, as [invariant, words]. `away` is what somebody put away."""
    return [
        list(each)
        for each in (
            *_operations(db, ledger, away),
            *_photos(db, ledger, store),
            *_closings(db),
            *_evidence(db, ledger),
            *_reports(db, ledger),
            *_order(db, ledger, deposited),
        )
    ]


def _operations(
    db: sqlite3.Connection, ledger: list[dict[str, Any]], away: set[str]
) -> Iterator[tuple[str, str]]:
    rows = {
        id_: (person, hash_, json.loads(result))
        for id_, person, hash_, result in db.execute(
            "SELECT id, person_id, body_hash, result FROM sync_operations"
        )
    }
    back = {known["op"]["data"]["op"] for known in ledger if known["op"]["t"] == "withdraw"}
    # Of two phones with the same outbox one may save work on a report that is taken back on the other.
    undone = {
        known["op"]["id"] for known in ledger if known.get("cloned") and (known["undone"] or known["undoing"])
    }
    by_id = {known["op"]["id"]: known for known in ledger}
    erased = _erased(db)
    told: dict[str, int] = {}
    for (text,) in db.execute("SELECT text FROM event_details"):
        for mark in MARK.findall(json.dumps(json.loads(text), ensure_ascii=False)):
            told[mark] = told.get(mark, 0) + 1
    for known in ledger:
        op, (person, hash_, result) = known["op"], rows.get(known["op"]["id"], (None, None, None))
        name = f"{op['t']} {op['id']} of user {known['user']}"
        if known["undone"] or known["undoing"]:
            if known["undone"] and result and not known.get("cloned"):
                yield "undo", f"{name} was taken back and is {result['result']}"
            continue
        if result is None:
            yield "2", f"{name} never arrived"
            continue
        if person != known["user"]:
            yield "12", f"{name} was sent as user {person}"
        # What it followed may be undone on one of two phones with the same outbox: either is right.
        prevs = known.get("prevs", []) if known.get("cloned") else []
        if hash_ not in [_hashed(op), *(_hashed(op | {"prev": prev}) for prev in prevs)]:
            yield "2", f"{name} arrived with another body"
        if result.get("result") not in FINAL:
            yield "3", f"{name} has the result {result}"
        bad = op["data"].get("bad")
        orphan = result.get("why") == "held" and op["case"] in undone
        orphan |= result.get("why") == "unknown_case" and op["case"] in away
        excused = bad or op["data"].get("poison") or known["lost"] or orphan
        if result.get("result") == "quarantined" and not excused:
            yield "18", f"{name} was set aside: {result.get('why')}"
        for photo in known["unread"]:
            yield "3", f"{name}: nobody was told that photo {photo} cannot be read"
        for each in known["heard"]:
            heard = each["result"]
            # Of two phones, one a copy of the other, one may hold another body than the city has:
            # what it followed was undone on the other. It is told so, and nothing else.
            other = heard.get("why") == "another_body" and bool(prevs) and _hashed(each["op"]) != hash_
            if heard.get("result") != result.get("result") and not other:
                yield "3", f"{name} is {result}, and its author reads {heard}"
        before = by_id.get(op["prev"])
        if before and before["undone"] and not (known.get("cloned") or before.get("cloned")):
            yield "9", f"{name} follows {op['prev']}, which was taken back"
        marks = MARK.findall(op["data"].get("words", ""))
        if result.get("why") == "withdrawn" and op["id"] not in back:
            yield "2", f"{name} is withdrawn, and nobody took it back"
        if result.get("why") == "dismissed" and op["id"] not in away:
            yield "2", f"{name} is dismissed, and nobody put it away"
        gone = result.get("result") == "quarantined" or result.get("why") in NEVER
        gone = gone or op["id"] in erased
        due = 0 if gone else 1
        for mark in marks:
            if told.get(mark, 0) != due:
                yield "2", f"{name} ({result}) stands {told.get(mark, 0)} times in the history"


def _hashed(op: dict[str, Any]) -> str:
    raw = json.dumps(op, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(raw.encode()).hexdigest()


def _photos(db: sqlite3.Connection, ledger: list[dict[str, Any]], store: Path) -> Iterator[tuple[str, str]]:
    """Each declared photo is stored, wanted or in review; what is stored is what was declared."""
    declared = {
        (operation, photo): (sha, photo_id, case, fault)
        for operation, photo, sha, photo_id, case, fault in db.execute(
            "SELECT operation_id, id, sha256, photo_id, case_id, fault FROM expected_photos"
        )
    }
    rows = {
        id_: (sha, case, stored, sizes)
        for id_, sha, case, stored, sizes in db.execute(
            "SELECT id, upload_sha256, case_id, stored_at, sizes FROM photos"
        )
    }
    erased = _erased(db)
    results = {
        id_: (result, why)
        for id_, result, why in db.execute(
            "SELECT id, json_extract(result, '$.result'), json_extract(result, '$.why') FROM sync_operations"
        )
    }
    for known in ledger:
        op, (result, why) = known["op"], results.get(known["op"]["id"], (None, None))
        if known["undone"] or known["undoing"] or result in (None, "quarantined"):
            continue
        if why in NEVER or op["id"] in erased:
            continue
        for told in op["photos"]:
            name = f"photo {told['id']} of {op['t']} {op['id']}"
            sha, photo_id, _case, fault = declared.get((op["id"], told["id"]), (None, None, None, None))
            if sha != told["sha256"]:
                yield "11", f"{name} is not declared as it was"
            elif told["id"] in known["unreadable"]:
                if not known["dropped"] and (photo_id is not None or fault != "not_a_photo"):
                    yield "11", f"{name} is no picture, and the city says {fault}"
            elif photo_id is None and fault not in (None, "late"):
                yield "11", f"{name} was refused: {fault}"
            elif photo_id is None and not known["dropped"]:
                there = "still" if told["id"] in known["bytes"] else "not"
                yield "11", f"{name} is wanted, and {there} on a phone"
            elif photo_id is not None:
                yield from _stored(name, told["sha256"], rows[photo_id], store)


def _stored(
    name: str, declared: str, row: tuple[str, int | None, Any, str], store: Path
) -> Iterator[tuple[str, str]]:
    sha, case, stored, sizes = row
    if sha != declared:
        yield "11", f"{name} hashes to something else"
    if case is None or stored is None:
        yield "11", f"{name} arrived and is not in the store with its case"
        return
    for file in json.loads(sizes).values():
        data = (store / file[:2] / file[2:4] / f"{file}.jpg").read_bytes()
        if hashlib.sha256(data).hexdigest() != file or b"Exif" in data:
            yield "11", f"{name} is stored as something else"


def _reports(db: sqlite3.Connection, ledger: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """A report is one report, of the case that its author was told; none is without any, but one that
    a split made and that leads back since that was undone."""
    for known in ledger:
        op = known["op"]
        if op["t"] != "report" or known["undone"] or known["undoing"]:
            continue
        rows = db.execute(
            "SELECT r.number, c.number FROM reports r JOIN cases c ON c.id = r.case_id WHERE r.key = ?",
            (op["id"].replace("-", ""),),
        ).fetchall()
        told = db.execute(
            "SELECT json_extract(result, '$.report'), json_extract(result, '$.to') FROM sync_operations"
            " WHERE id = ? AND json_extract(result, '$.result') = 'applied'",
            (op["id"],),
        ).fetchall()
        if [number for number, _ in rows] != [number for number, _ in told]:
            yield "2", f"report {op['id']} is {rows} and was called {told}"
    for (number,) in db.execute(
        "SELECT number FROM cases WHERE id NOT IN (SELECT case_id FROM reports) AND (merged_into_id IS NULL"
        " OR NOT EXISTS (SELECT 1 FROM events WHERE subject = 'case:' || cases.id AND kind = 'open'"
        " AND json_extract(facts, '$.split_from') IS NOT NULL))"
    ):
        yield "2", f"case {number} is there without a report"


def _erased(db: sqlite3.Connection) -> set[str]:
    """The operations whose report somebody asked to forget."""
    keys = db.execute("SELECT key FROM reports WHERE erased_at IS NOT NULL").fetchall()
    ids = {
        id_.replace("-", ""): id_
        for (id_,) in db.execute("SELECT id FROM sync_operations WHERE t = 'report'")
    }
    return {ids[key] for (key,) in keys if key in ids}


def _closings(db: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """A completion lies within the job it ended and its receipt, whatever the phone's clock said."""
    for case, cycle, done, closed, opened in db.execute(
        "SELECT x.case_id, x.cycle, x.done_at, x.closed_at, c.opened_at"
        " FROM closures x JOIN cases c ON c.id = x.case_id"
    ):
        given = db.execute(
            "SELECT min(given_at) FROM assignments WHERE case_id = ? AND cycle = ?", (case, cycle)
        ).fetchone()[0]
        if not (given or opened) <= done <= closed:
            yield "19", f"cycle {cycle} of case {case} was done {done}, outside {given or opened} to {closed}"


def _evidence(db: sqlite3.Connection, ledger: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """What a crew closed stays closed by its words, and its photos prove it, whatever was corrected since."""
    rows = {
        id_: (t, case, json.loads(result))
        for id_, t, case, result in db.execute("SELECT id, t, case_id, result FROM sync_operations")
    }
    # Taken back by its author, here or on a copy of the phone.
    back = {
        known["op"]["data"]["op"]
        for known in ledger
        if known["op"]["t"] == "withdraw"
        and rows.get(known["op"]["id"], ("", 0, {}))[2].get("result") == "applied"
    }
    erased = {case for (case,) in db.execute("SELECT case_id FROM reports WHERE erased_at IS NOT NULL")}
    for known in ledger:
        op = known["op"]
        t, case, result = rows.get(op["id"], ("", 0, {}))
        if t != "close" or result.get("result") != "applied" or op["id"] in back or case in erased:
            continue
        words = op["data"].get("words", "")
        found = db.execute(
            "SELECT id FROM closures WHERE case_id = ? AND words = ?", (case, words)
        ).fetchall()
        if len(found) != 1:
            yield "evidence", f"close {op['id']} of case {case} has {len(found)} closings with its words"
            continue
        for told in op["photos"]:
            rows_of = db.execute(
                "SELECT p.closure_id, p.case_id FROM expected_photos e JOIN photos p ON p.id = e.photo_id"
                " WHERE e.operation_id = ? AND e.id = ?",
                (op["id"], told["id"]),
            )
            for closure, at in rows_of:
                if at == case and closure != found[0][0]:
                    yield (
                        "evidence",
                        f"photo {told['id']} of close {op['id']} proves {closure}, not {found[0][0]}",
                    )


def _order(
    db: sqlite3.Connection, ledger: list[dict[str, Any]], deposited: set[str]
) -> Iterator[tuple[str, str]]:
    """On one case, what one phone did takes effect in the order in which it was done.

    Not what a supervisor released later, and not on phones that were copied: they count alike.
    """
    if any(known.get("cloned") for known in ledger):
        return
    first: dict[str, int] = {}
    for seq, text in db.execute("SELECT seq, text FROM event_details ORDER BY seq"):
        for mark in MARK.findall(json.dumps(json.loads(text), ensure_ascii=False)):
            first.setdefault(mark, seq)
    last: dict[tuple[str, int, str], tuple[int, str]] = {}
    marked = [
        (first[m], known)
        for known in ledger
        for m in MARK.findall(known["op"]["data"].get("words", ""))
        if m in first
    ]
    for _seq, known in sorted(marked, key=lambda each: each[0]):
        op = known["op"]
        if op["id"] in deposited:
            continue
        key = (known["phone"], known["user"], op["case"])
        before = last.get(key, (0, ""))
        if op["n"] < before[0]:
            yield (
                "9",
                f"{op['id']} (n {op['n']}) took effect after {before[1]} (n {before[0]}) on {op['case']}",
            )
        last[key] = (op["n"], op["id"])
