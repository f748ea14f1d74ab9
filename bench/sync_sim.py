"""Crews' phones against the real city, with everything that can go wrong in between.

    bin/bench sync-sim [--seeds N] [--steps 300] [--no-plants] [--plant=NAME ...] [--seed=N [--trace]]

Says how many invariants were broken, which seed caught each planted bug, and how often every row of the
conflict table, every result and every fault was met. `--seed` lives through one seed again.
docs/explanation/field-sync.md tells how to read what it says.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench._site import ROOT, say
from tests.simulation import mutations

SEEDS, STEPS = 200, 300
# A bug that this many worlds do not show is one that the simulation does not find.
SEEDS_A_PLANT = 100
# Fewer worlds than this need not have met everything.
ENOUGH = 100
# Every twentieth world is lived through twice, and must be the same.
AGAIN = 20
FAULTS = (
    "no_signal", "lost_request", "lost_response", "duplicate", "late_duplicate", "reordered",
    "truncated_request", "truncated_answer", "portal", "portal_json", "stale_answer", "redirect",
    "s401", "s413", "s429", "s500", "s507", "corrupt_piece", "busy", "serialization", "crash",
    "clock_forward", "clock_back", "clock_to_undo", "quota", "dead_handle", "kill", "reboot",
    "reboot_lost_write", "two_tabs", "upgrade", "user_switch", "session_lost", "server_restart", "backup",
    "restore", "clone", "withdraw", "report", "report_photo", "report_and_close", "report_undone",
    "its report undone", "photo_refused", "revoke", "enrol", "revoked and put by", "revoked to the end",
    "mirror_compared", "held for its report", "danger waits, and first",
)  # fmt: skip
RESULTS = ("applied", "merged", "recorded", "held", "deposited", "quarantined", "retry")


def main() -> int:
    """Runs what was asked for and prints one JSON line; 0 when nothing broke and everything was met."""
    asked = _arguments()
    with tempfile.TemporaryDirectory(dir=_fast_disk()) as folder:
        room = Path(folder)
        # In a process of its own: it reads the city, which the workers may be about to spoil.
        subprocess.run([sys.executable, "-c", _FURNISH, folder], cwd=ROOT, check=True)
        if asked.seed is not None:
            return _again(room, asked)
        told = run(room, range(asked.seeds), asked.steps, asked.jobs)
        again = run(room, range(0, asked.seeds, AGAIN), asked.steps, asked.jobs)
        caught: dict[str, int | None] = {}
        if not asked.no_plants:
            names = asked.plant or sorted(mutations.PLANTS)
            caught = plant(room, names, asked.steps, asked.jobs)
    traces, violations = told.pop("traces"), told.pop("violations_told")
    other = [seed for seed, trace in again["traces"].items() if traces[seed] != trace]
    line = {"bench": "sync-sim", "seeds": asked.seeds, "steps": asked.steps, **told, "plants": caught}
    print(json.dumps(line), flush=True)
    for each in violations:
        say(f"seed {each['seed']} step {each['step']} invariant {each['invariant']}: {each['words']}")
    if moved := {name: seed for name, seed in caught.items() if seed != mutations.SHOWN.get(name, 0)}:
        say(f"Seeds differ from those in mutations.SHOWN: {moved}.")
    missed = [name for name, seed in caught.items() if seed is None]
    unmet = [name for name, n in told["reached"].items() if not n] if asked.seeds >= ENOUGH else []
    if missed or unmet or other:
        say(f"Not caught: {missed}. Not met: {unmet}. Not the same the second time: {other}.")
    return int(bool(told["violations"] or missed or unmet or other))


def run(room: Path, seeds: Iterable[int], steps: int, jobs: int) -> dict[str, Any]:
    """Lives through the seeds.

    Returns `violations` (how many), `reached` and `trace`; `violations_told`; `traces` by seed.
    """
    reached = dict.fromkeys([*FAULTS, *(f"result {name}" for name in RESULTS)], 0)
    violations: list[dict[str, Any]] = []
    traces: dict[int, str] = {}
    todo = iter([{"seed": seed, "steps": steps} for seed in seeds])

    def work(n: int) -> None:
        with worker(room, f"worker{n}") as live:
            for asked in todo:
                told = live(asked)
                traces[told["seed"]] = told["trace"]
                violations.extend(told["violations"])
                for name, count in told["reached"].items():
                    reached[name] = reached.get(name, 0) + count

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(work, range(jobs)))
    trace = hashlib.sha256("".join(traces[seed] for seed in sorted(traces)).encode()).hexdigest()
    violations.sort(key=lambda each: each["seed"])
    return {
        "violations": len(violations), "violations_told": violations[:50], "traces": traces,
        "reached": dict(sorted(reached.items())), "trace": trace,
    }  # fmt: skip


def plant(room: Path, names: Iterable[str], steps: int, jobs: int) -> dict[str, int | None]:
    """For each planted bug a seed that showed it; None where none did.

    The one that showed it when somebody last looked comes first, then all from 0 on.
    """
    todo = iter(sorted(names, key=lambda name: mutations.PLANTS[name].is_on_the_phone))
    caught: dict[str, int | None] = {}

    def hunt(live: Any, name: str) -> None:
        for seed in (mutations.SHOWN.get(name, 0), *range(SEEDS_A_PLANT)):
            if live({"seed": seed, "steps": steps, "plant": name})["violations"]:
                caught[name] = seed
                return
        caught[name] = None

    def work(n: int) -> None:
        with ExitStack() as until:
            shared = None
            for name in todo:
                if not mutations.PLANTS[name].is_on_the_phone:
                    with worker(room, f"plant-{name}", name) as live:
                        hunt(live, name)
                    continue
                shared = shared or until.enter_context(worker(room, f"plants{n}"))
                hunt(shared, name)

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(work, range(jobs)))
    return dict(sorted(caught.items()))


@contextmanager
def worker(room: Path, name: str, plant: str = "", **streams: Any) -> Iterator[Any]:
    """A process that lives through one seed after another: what it is called with, it answers."""
    command = [
        sys.executable,
        "-m",
        "tests.simulation.worker",
        str(room / name),
        str(room),
        *([plant] if plant else []),
    ]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CITYLINE_")} | {
        "PYTHONHASHSEED": "0"
    }
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **streams,
    ) as process:
        assert process.stdin
        assert process.stdout

        def live(asked: dict[str, Any]) -> dict[str, Any]:
            process.stdin.write(json.dumps(asked) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"the worker {name} ended at {asked}")
            told: dict[str, Any] = json.loads(line)
            return told

        yield live
        process.stdin.close()


def _again(room: Path, asked: argparse.Namespace) -> int:
    with worker(room, "again", "".join(asked.plant)) as live:
        told = live({"seed": asked.seed, "steps": asked.steps, "aloud": asked.trace})
    print(json.dumps({"bench": "sync-sim", **told}), flush=True)
    return int(bool(told["violations"]))


_FURNISH = (
    "import sys, pathlib; from tests.simulation.city import furnish; furnish(pathlib.Path(sys.argv[1]))"
)


def _fast_disk() -> str | None:
    """Memory, where there is such a disk: every transaction of every world is synced."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _arguments() -> argparse.Namespace:
    told = argparse.ArgumentParser(prog="bin/bench sync-sim")
    told.add_argument("--seeds", type=int, default=SEEDS)
    told.add_argument("--steps", type=int, default=STEPS)
    told.add_argument("--seed", type=int, help="run only this one")
    told.add_argument("--trace", action="store_true", help="print everything that happens")
    told.add_argument("--plant", action="append", default=[], help="run only this planted bug")
    told.add_argument("--no-plants", action="store_true")
    told.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    told.add_argument("--quick", action="store_true", help="changes nothing: this bench is quick")
    return told.parse_args()


if __name__ == "__main__":
    sys.exit(main())
