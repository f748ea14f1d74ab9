"""What field sync costs: bytes, requests and time, through the real server, with and without the peer.

    bin/bench sync [--quick] [--peer] [--db=sqlite] [--only=push_1000]

Crews' phones, enrolled by code, pull and close real cases among those of two years, on both databases: the
verbs, the log, sessions and all checks included. Bytes are those of bodies as they go over the line.

`--peer` does the same with the same jobs through PouchDB and its Express server; see bench/peer.js.
`--quick` is for seeing that it runs: few cases, short times.
"""

import argparse
import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Queue
from random import Random
from typing import Any

from bench import _crews
from bench._databases import KINDS, Database, database
from bench._phone import Count, Phone, gzipped, written
from bench._site import ROOT, Site, fill, running, say
from city.db import engine as db

# Requests arrive at random, so many a second in the mean, whether or not those before were answered.
TRICKLE_RATE = 160
WORDS = ("New lamp put in. It is on again.", "Cleared and washed down.", "Filled and rolled.", "")


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    base: int = 20_000  # cases that are there already
    jobs: int = 1000  # a pull and a push have so many
    rounds: int = 3
    ones: int = 200
    phones: int = 200
    seconds: int = 20  # of the trickle


QUICK = Size(base=200, jobs=100, rounds=1, ones=10, phones=20, seconds=2)

# bench → what must hold of its line, by database where that differs. From the project's own targets.
TARGETS: dict[str, list[tuple[str, str, float]]] = {
    "pull_1000": [("requests", "<=", 4), ("bytes_down", "<=", 350_000), ("job_bytes", "<=", 900),
                  ("job_gz", "<=", 320)],
    "push_1000": [("requests", "<=", 20), ("bytes_up", "<=", 140_000), ("op_bytes", "<=", 350),
                  ("per_s", ">=", 300), ("p99_ms", "<=", 500)],
    "one": [("requests", "<=", 1), ("bytes", "<=", 1000)],
    "idle": [("requests", "<=", 1), ("bytes", "<=", 600)],
    "trickle": [("per_s", ">=", 150), ("p99_ms", "<=", 300)],
}  # fmt: skip
ON_POSTGRESQL = {("push_1000", "per_s"): 200.0, ("trickle", "p99_ms"): 100.0}


def main() -> int:
    """0 when everything that was asked for was measured, whether or not it is within its targets."""
    asked = argparse.ArgumentParser(prog="bin/bench sync")
    asked.add_argument("--quick", action="store_true", help="use a little of everything")
    asked.add_argument("--peer", action="store_true", help="do the same work through PouchDB too")
    asked.add_argument("--db", choices=KINDS, help="run only this one")
    asked.add_argument("--only", choices=TARGETS, help="run only this one")
    options = asked.parse_args()
    size = QUICK if options.quick else Size()
    missed: list[str] = []
    peer: dict[str, dict[str, float]] = {}
    for kind in (options.db,) if options.db else KINDS:
        var = ROOT / "var" / "bench" / ("sync-quick" if options.quick else "sync")
        with database(kind, var) as base:
            say(f"sync: the demo city with {size.base} cases on {kind}")
            fill(var, size.base, **base.settings)
            codes = _furnish(base, size)
            with running(var, **base.settings) as site:
                site.settle()  # the worker's work of a day's beginning is no exchange
                phones = {
                    name: [Phone(site.url, code) for code in of_crew] for name, of_crew in codes.items()
                }
                if options.peer and not peer:
                    peer = _peer(phones["pull"][0], size)
                for name, measure in MEASURES.items():
                    if options.only in (None, name):
                        line = {"bench": f"sync.{name}", "db": kind} | measure(site, phones, size)
                        line |= {f"peer_{key}": value for key, value in peer.get(name, {}).items()}
                        missed += _judged(name, line)
                        print(json.dumps(line), flush=True)
    say("Misses its target:" if missed else "Everything meets its target.")
    for each in missed:
        say(f"  {each}")
    return 0


def _furnish(base: Database, size: Size) -> dict[str, list[str]]:
    """The crews, each with its jobs; by name the codes for their phones."""
    engine = db.connect(base.url)
    crews = max(1, size.phones // 10)
    a_crew = 2 * TRICKLE_RATE * size.seconds // crews  # some phones come by more often than others
    try:
        with db.transaction(engine) as s:
            codes = {
                "pull": _crews.add(s, "Pull", size.jobs, seed=1),
                "push": _crews.add(s, "Push", size.jobs * size.rounds + size.ones, seed=2),
                "trickle": [],
            }
        for n in range(crews):
            with db.transaction(engine) as s:
                codes["trickle"] += _crews.add(s, f"Crew {n}", a_crew, size.phones // crews, seed=10 + n)
        db.analyze(base.owner_url or base.url)  # in a real city PostgreSQL did that long ago
        return codes
    finally:
        engine.dispose()


def _pulled(site: Site, phones: dict[str, list[Phone]], size: Size) -> dict[str, Any]:
    """A new phone hears of all its jobs."""
    (phone,) = phones["pull"]
    counts, seconds = [], []
    for _ in range(size.rounds + 1):
        phone.forget()
        count, took = _counted(site, phone, phone.pull)
        counts.append(count)
        seconds.append(took)
    if len(phone.jobs) != size.jobs:
        raise RuntimeError(f"{len(phone.jobs)} of {size.jobs} jobs came")
    told = [written(job).encode() for job in phone.jobs.values()]
    return _line(counts[1:], seconds[1:], size.jobs) | {
        "job_bytes": round(statistics.mean(map(len, told))),
        "job_gz": round(statistics.mean(len(gzipped(job)) for job in told)),
    }


def _pushed(site: Site, phones: dict[str, list[Phone]], size: Size) -> dict[str, Any]:
    """A phone comes back with a thousand closings; the first fifty of another request warm the server."""
    (phone,) = phones["push"]
    phone.pull()
    jobs = _open(phone)
    counts, seconds, ops = [], [], []
    for _ in range(size.rounds):
        ops = [_closing(phone, next(jobs)) for _ in range(size.jobs)]
        count, took = _counted(site, phone, lambda ops=ops: _applied(phone.push(ops)))
        counts.append(count)
        seconds.append(took)
    told = [written(op).encode() for op in ops]
    return _line(counts, seconds, size.jobs) | {"op_bytes": round(statistics.mean(map(len, told)))}


def _one(site: Site, phones: dict[str, list[Phone]], size: Size) -> dict[str, Any]:
    """One closing, its result and the job as it stands then."""
    (phone,) = phones["push"]
    if not phone.jobs:
        phone.pull()
    jobs = _open(phone)
    counts, seconds = [], []
    for _ in range(size.ones):
        op = _closing(phone, next(jobs))
        count, took = _counted(site, phone, lambda op=op: _applied(phone.push([op])))
        counts.append(count)
        seconds.append(took)
    return _line(counts, seconds, 1) | _bytes(counts)


def _idle(site: Site, phones: dict[str, list[Phone]], size: Size) -> dict[str, Any]:
    """A phone that asks when there is nothing to say."""
    (phone,) = phones["push"]
    phone.pull()
    asked = [_counted(site, phone, phone.exchange) for _ in range(size.ones)]
    counts = [count for count, _ in asked]
    return _line(counts, [took for _, took in asked], 1) | _bytes(counts)


def _trickled(site: Site, phones: dict[str, list[Phone]], size: Size) -> dict[str, Any]:
    """Many phones, one closing a request. A request's time counts from when it was due, waiting included."""
    chance, free = Random(311), Queue[tuple[Phone, Iterator[dict[str, Any]]]]()
    crews: dict[str, list[Phone]] = {}
    for phone in phones["trickle"]:
        phone.pull()
        crews.setdefault(next(iter(phone.cursors)), []).append(phone)
    for crew in crews.values():
        for n, phone in enumerate(crew):
            phone.count = Count()
            free.put((phone, iter(list(phone.jobs.values())[n :: len(crew)])))
    many = TRICKLE_RATE * size.seconds
    due, at = [], 0.0
    for _ in range(many):
        at += chance.expovariate(TRICKLE_RATE)
        due.append(at)

    def send(due: float) -> float:
        phone, jobs = free.get()
        try:
            job = next(jobs, None)
            if job is None:
                raise RuntimeError("a phone has no jobs left")
            _applied(phone.push([_closing(phone, job)]))
            return time.perf_counter() - start - due
        finally:
            free.put((phone, jobs))

    with ThreadPoolExecutor(64) as pool, _without_collecting():
        sent, cpu, start = [], site.cpu_seconds(), time.perf_counter() + 1
        for each in due:
            time.sleep(max(0.0, start + each - time.perf_counter()))
            sent.append(pool.submit(send, each))
        took = [each.result() for each in sent]
    seconds = time.perf_counter() - start
    return {
        "requests": many,
        "bytes_up": sum(phone.count.up for phone in phones["trickle"]),
        "bytes_down": sum(phone.count.down for phone in phones["trickle"]),
        "seconds": round(seconds, 2),
        "per_s": round(many / seconds, 1),
        "p50_ms": round(statistics.median(took) * 1000, 1),
        "p99_ms": _p99(took),
        "server_cpu_ms": round((site.cpu_seconds() - cpu) / many * 1000, 2),
        "offered_per_s": TRICKLE_RATE,
        "phones": len(phones["trickle"]),
    }


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Lets the collector pass over what is here already. All phones' jobs lie in this one process: to walk
    through them took a quarter of a second in which nobody sent or heard anything, and that is no wait for
    the city."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _peer(phone: Phone, size: Size) -> dict[str, dict[str, float]]:
    """What the same work costs through PouchDB, by measure."""
    say("sync: the same work through PouchDB and express-pouchdb")
    phone.pull()
    folder = ROOT / "var" / "bench" / "peer"
    folder.mkdir(parents=True, exist_ok=True)
    jobs = list(phone.jobs.values())
    work = {
        "jobs": jobs, "closings": [_closing(phone, job) for job in jobs], "rounds": size.rounds,
        "ones": min(size.ones, size.jobs), "phones": min(size.phones, 20),
    }  # fmt: skip
    (folder / "work.json").write_text(written(work))
    command = ["node", str(ROOT / "bench" / "peer.js"), str(folder / "data"), str(folder / "work.json")]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return found


MEASURES: dict[str, Callable[[Site, dict[str, list[Phone]], Size], dict[str, Any]]] = {
    "pull_1000": _pulled, "push_1000": _pushed, "one": _one, "idle": _idle, "trickle": _trickled,
}  # fmt: skip


def _open(phone: Phone) -> Iterator[dict[str, Any]]:
    """The jobs that nobody has closed yet."""
    return iter([job for job in phone.jobs.values() if job["state"] != "closed"])


def _closing(phone: Phone, job: dict[str, Any]) -> dict[str, Any]:
    words = WORDS[phone.n % len(WORDS)]
    return phone.op("close", job, outcome="fixed", no_photo="dark", **({"words": words} if words else {}))


def _applied(results: list[dict[str, Any]]) -> None:
    bad = [result for result in results if result["result"] != "applied"]
    if bad:
        raise RuntimeError(f"{len(bad)} of {len(results)} were not applied: {bad[0]}")


def _counted(site: Site, phone: Phone, work: Callable[[], object]) -> tuple[Count, float]:
    cpu = site.cpu_seconds()
    phone.count, began = Count(), time.perf_counter()
    work()
    took = time.perf_counter() - began
    phone.count.cpu = site.cpu_seconds() - cpu
    return phone.count, took


def _line(counts: list[Count], seconds: list[float], things: int) -> dict[str, Any]:
    """What the rounds had in the median; the slowest request of a hundred over all of them."""
    took = statistics.median(seconds)
    return {
        "requests": round(statistics.median(len(count.took) for count in counts)),
        "bytes_up": round(statistics.median(count.up for count in counts)),
        "bytes_down": round(statistics.median(count.down for count in counts)),
        "seconds": round(took, 4),
        "per_s": round(things / took, 1),
        "p99_ms": _p99([took for count in counts for took in count.took]),
        "server_cpu_ms": round(statistics.mean(count.cpu for count in counts) / things * 1000, 2),
    }


def _bytes(counts: list[Count]) -> dict[str, Any]:
    """Both ways together: the usual, and the most."""
    both = [count.up + count.down for count in counts]
    return {"bytes": round(statistics.median(both)), "bytes_most": max(both)}


def _p99(took: list[float]) -> float:
    return round(sorted(took)[min(len(took) - 1, int(len(took) * 0.99))] * 1000, 1)


def _judged(name: str, line: dict[str, Any]) -> list[str]:
    """Writes into the line which targets it meets; returns those it misses, in words."""
    missed, met = [], {}
    for key, sign, target in TARGETS[name]:
        if line["db"] == "postgresql":
            target = ON_POSTGRESQL.get((name, key), target)
        holds = line[key] <= target if sign == "<=" else line[key] >= target
        met[f"{key}{sign}{target:g}"] = holds
        if not holds:
            missed.append(f"{line['db']} {name}: {key} is {line[key]:g}, but should be {sign} {target:g}")
    line["met"] = met
    return missed


if __name__ == "__main__":
    sys.exit(main())
