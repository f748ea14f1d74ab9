"""The process that decodes: how it ends, what becomes of the photo then, and what is left of it."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pictures import encoded, plain
from PIL import Image

from city.photos import processing
from city.photos.processing import BadPhoto, Busy

ROOT = Path(__file__).parents[3]
# What a decoder does to a photo of one byte; all others it decodes.
FAULTY = """
import ctypes, os, signal, sys, time
from city.photos import decoder, decoding
decode = decoding.develop
decoder.MOST_SECONDS = {seconds}
decoder.LIMITS[decoder.resource.RLIMIT_CPU] = 1

def fault():
    {fault}

decoding.develop = lambda data: decode(data) if len(data) > 1 else fault()
decoder.main()
"""
FAULTS = {
    "reads where nothing is": ("ctypes.string_at(0)", "broken"),
    "gives up": ("os.abort()", "broken"),
    "ends": ("os._exit(3)", "broken"),
    "raises": ("raise KeyError('no such thing')", "broken"),
    "computes for ever": ("while True: pass", "too_many_pixels"),
}
# What is no fault of a photo's.
MACHINES = {
    "takes too long": "time.sleep(60)",
    "is ended by the system": "os.kill(os.getpid(), signal.SIGKILL)",
    "ends with all": "os.kill(os.getppid(), signal.SIGKILL)",
}

Plant = Callable[[str], None]


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Iterator[Plant]:
    """Has photos decoded by another program."""

    def begin(program: str) -> None:
        processing._decoder.end()
        monkeypatch.setattr(processing, "COMMAND", [sys.executable, "-c", program])

    yield begin
    processing._decoder.end()


def refused(data: bytes) -> str:
    with pytest.raises(BadPhoto) as caught:
        processing.process(data)
    return caught.value.code


@pytest.mark.parametrize("what", FAULTS)
def test_a_photo_that_ends_its_decoder_is_refused_and_the_next_is_taken(plant: Plant, what: str) -> None:
    fault, code = FAULTS[what]
    plant(FAULTY.format(fault=fault, seconds=600))
    assert refused(b"x") == code
    assert processing.process(plain()).width == 60


@pytest.mark.parametrize("what", MACHINES)
@pytest.mark.slow
def test_a_photo_that_the_machine_could_not_decode_may_come_again(plant: Plant, what: str) -> None:
    plant(FAULTY.format(fault=MACHINES[what], seconds=2))
    for _ in range(2):
        with pytest.raises(Busy):
            processing.process(b"x")
    assert processing.process(plain()).width == 60


def test_where_no_decoder_can_be_begun_a_photo_may_come_again(plant: Plant) -> None:
    plant("import no_such_thing")
    for _ in range(2):
        with pytest.raises(Busy):
            processing.process(plain())


@pytest.mark.slow
def test_a_photo_that_would_take_too_much_memory_is_too_large_and_the_next_is_taken() -> None:
    clear = encoded(Image.new("RGBA", (8000, 5000), (40, 60, 90, 100)), "AVIF", speed=10, quality=10)
    assert len(clear) < 5_000
    assert refused(clear) == "too_many_pixels"
    assert processing.process(plain()).width == 60


def test_a_decoder_that_was_ended_in_between_is_begun_again() -> None:
    processing.process(plain())
    for _ in range(3):
        os.kill(pid(), signal.SIGKILL)
        wait_for_the_end_of(pid())
        assert processing.process(plain()).width == 60


def test_a_decoder_knows_no_secrets_and_holds_no_files_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CITYLINE_SECRET_KEY", "a secret")
    processing._decoder.end()
    with (ROOT / "README.md").open():
        processing.process(plain())
        process = Path(f"/proc/{pid()}")
        assert b"CITYLINE" not in (process / "environ").read_bytes()
        held = {os.readlink(each) for each in (process / "fd").iterdir()}
    assert not any("README" in each for each in held)


def test_a_decoder_minds_no_signal_that_a_terminal_sends_to_all() -> None:
    processing.process(plain())
    before = pid()
    for sign in (signal.SIGINT, signal.SIGTERM):
        os.kill(before, sign)
    assert processing.process(plain()).width == 60
    assert pid() == before


def test_time_ends_also_where_the_thread_that_begins_the_decoder_holds_signals_back(plant: Plant) -> None:
    plant(FAULTY.format(fault="time.sleep(60)", seconds=1))
    held = {signal.SIGALRM, signal.SIGXCPU}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        with pytest.raises(Busy):
            processing.process(b"x")
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_a_decoder_ends_with_the_process_that_began_it_however_that_ends() -> None:
    program = """
import os, sys, time
sys.path.insert(0, "tests")
from city.photos import processing
from pictures import plain
processing.process(plain())
print(processing._decoder._process.pid, flush=True)
time.sleep(600)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout
        decoder = int(server.stdout.readline())
        assert is_there(decoder)
        server.kill()
        server.wait()
    wait_for_the_end_of(decoder)


def test_a_process_that_came_out_of_ours_has_a_decoder_of_its_own() -> None:
    program = """
import os, sys, threading
sys.path.insert(0, "tests")
from city.photos import processing
from pictures import plain
processing.process(plain())
with processing._turn:  # as if another thread were about to
    if (child := os.fork()) == 0:
        processing.process(plain())
        print(processing._decoder._process.pid, flush=True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
print(processing._decoder._process.pid, processing.process(plain()).width)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    theirs, ours, width = done.stdout.split()
    assert (theirs != ours, width, done.stderr) == (True, "60", "")


def test_who_waits_too_long_for_a_turn_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processing, "PATIENCE", 0.05)
    with processing._turn, pytest.raises(Busy):
        processing.process(plain())
    assert processing.process(plain()).width == 60


def test_photos_of_many_threads_get_their_own_answers() -> None:
    colours = [(n * 15, 200 - n * 10, 90) for n in range(16)]
    sent = [plain(colour, (60 + n, 40)) for n, colour in enumerate(colours)]
    with ThreadPoolExecutor(16) as threads:
        widths = [new.width for new in threads.map(processing.process, sent)]
    assert widths == [60 + n for n in range(16)]


@pytest.mark.slow
@pytest.mark.full
def test_however_many_of_the_dearest_photos_come_all_decoding_stays_below_600_mb_and_gives_it_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processing, "PATIENCE", 300.0)  # nobody is turned away, so that all are decoded
    processing.process(plain())
    large = encoded(Image.new("RGB", (8160, 6120), (40, 60, 90)), "HEIF", quality=10)
    flat = encoded(Image.new("RGB", (8000, 5000), (40, 60, 90)), "AVIF", speed=10, quality=10)
    own, stop = memory(os.getpid()), threading.Event()
    peaks = {"decoding": 0, "own": 0}

    def watch() -> None:
        while not stop.wait(0.005):
            peaks["decoding"] = max(peaks["decoding"], sum(map(memory, family(pid()))))
            peaks["own"] = max(peaks["own"], memory(os.getpid()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with ThreadPoolExecutor(8) as threads:
            assert all(new.width == 2048 for new in threads.map(processing.process, [large, flat] * 4))
    finally:
        stop.set()
        watcher.join()
    assert 300_000_000 < peaks["decoding"] < 600_000_000
    assert peaks["own"] - own < 40_000_000
    assert family(pid()) == [pid()]
    assert memory(pid()) < 60_000_000


def pid() -> int:
    assert processing._decoder._process
    return processing._decoder._process.pid


def wait_for_the_end_of(process: int) -> None:
    deadline = time.monotonic() + 60
    while is_there(process):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_there(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def family(process: int) -> list[int]:
    """It and its children."""
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text()
    except OSError:
        return []
    return [process, *map(int, children.split())]


def memory(process: int) -> int:
    """Bytes that it has in memory; what it shares counts as its own."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0
