"""One process that lives through seeds: reads {"seed", "steps"} by line, answers each with what was found.

A bug in the phones' code may come with the seed, as "plant"; one in the city's is there from the start.

python -m tests.simulation.worker ROOM TEMPLATE [PLANT]
"""

import gc
import hashlib
import json
import subprocess
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

from tests.simulation import mutations

HERE = Path(__file__).parent


def main() -> None:
    """Serves until standard input ends."""
    room, template = Path(sys.argv[1]), Path(sys.argv[2])
    plant = mutations.PLANTS[sys.argv[3]] if len(sys.argv) > 3 else mutations.NONE
    room.mkdir(parents=True, exist_ok=True)
    mutations.plant_python(plant)
    from tests.simulation.city import (
        City,  # only now: the plant is in place before anything of the city is read
    )

    city = City(template, room)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)  # nothing that lives for one request is worth looking for
    for spoiled, seeds in groupby(map(json.loads, sys.stdin), lambda asked: asked.pop("plant", plant.name)):
        # Where other code runs, nothing of the last world's may go on.
        phones = mutations.phone_code(mutations.PLANTS.get(spoiled, mutations.NONE), room)
        with subprocess.Popen(
            [mutations.node(), str(HERE / "world.js"), *map(str, phones)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as world:
            for asked in seeds:
                told = lived(city, world, asked)
                sys.stdout.write(json.dumps(told) + "\n")
                sys.stdout.flush()
            assert world.stdin
            world.stdin.close()


def lived(city: Any, world: "subprocess.Popen[bytes]", asked: dict[str, Any]) -> dict[str, Any]:
    """One seed, from its first step to its last question."""
    assert world.stdin
    assert world.stdout
    trace = hashlib.sha256()
    aloud = asked.pop("aloud", False)
    for row in city.reached:
        city.reached[row] = 0
    _send(world, asked)
    violations: list[dict[str, Any]] = []
    step = 0
    while line := world.stdout.readline():
        trace.update(line)
        told = json.loads(line)
        if aloud:
            _shown("world", line)
        if told.get("what") == "broken":
            told = {"reached": {}, "violations": [_violation(asked, step, "broken", told["words"])]}
        if "violations" in told:
            violations += told["violations"]
            return {
                "seed": asked["seed"], "violations": violations, "trace": trace.hexdigest(),
                "reached": told["reached"] | city.reached,
            }  # fmt: skip
        if told["what"] == "note":
            step = told["step"]
        try:
            answer = json.dumps({"told": city.answer(told)})
        except Exception as fault:
            if aloud:
                raise
            answer = json.dumps({"fault": repr(fault)})
        for invariant, words in city.complain():
            violations.append(_violation(asked, step, invariant, words))
        trace.update(answer.encode())
        if aloud:
            _shown("city", answer.encode())
        _send(world, answer)
    raise RuntimeError("the world ended")


def _violation(asked: dict[str, Any], step: int, invariant: str, words: str) -> dict[str, Any]:
    return {"seed": asked["seed"], "step": step, "invariant": invariant, "words": words}


def _send(world: "subprocess.Popen[bytes]", told: Any) -> None:
    assert world.stdin
    world.stdin.write((told if isinstance(told, str) else json.dumps(told)).encode() + b"\n")
    world.stdin.flush()


def _shown(who: str, line: bytes) -> None:
    sys.stderr.write(f"{who:6} {line.decode().strip()[:20000]}\n")


if __name__ == "__main__":
    main()
