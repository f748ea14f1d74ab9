"""Pictures that a request names by an address: fetched from the public internet only, and only pictures."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import Any, ClassVar

import deadhosts
import pytest
from factories import Town, jpeg
from sqlalchemy import select

from city import safe_http
from city.audit import events
from city.db.models import PhotoDownload, Report
from city.photos import processing, storage
from city.reports import intake, photo_urls, remote_images
from city.reports.remote_images import NotFetched


class Pages(BaseHTTPRequestHandler):
    """A stranger's server on loopback."""

    routes: ClassVar[dict[str, Callable[["Pages"], None]]] = {}

    def do_GET(self) -> None:
        with suppress(OSError):  # they hang up, as they should
            self.routes[self.path](self)

    def log_message(self, *_: Any) -> None:
        pass

    def give(self, data: bytes, kind: str = "image/jpeg", status: int = 200, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def endless(self) -> None:
        self.give(b"")
        while True:
            self.wfile.write(b"x" * 65_536)

    def trickle(self) -> None:
        self.give(b"")
        while True:
            self.wfile.write(b"x")
            time.sleep(0.05)


Pages.routes = {
    "/good.jpg": lambda page: page.give(jpeg()),
    "/words": lambda page: page.give(b"<html>", "text/html"),
    "/lies.jpg": lambda page: page.give(b"no picture at all"),
    "/gone.jpg": lambda page: page.give(b"", status=404),
    "/down.jpg": lambda page: page.give(b"", status=503),
    "/endless.jpg": Pages.endless,
    "/trickle.jpg": Pages.trickle,
    "/on": lambda page: page.give(b"", status=302, Location="/good.jpg"),
    "/round": lambda page: page.give(b"", status=302, Location="/round"),
    "/inside": lambda page: page.give(b"", status=302, Location="http://169.254.169.254/latest/meta-data"),
    "/file": lambda page: page.give(b"", status=302, Location="file:///etc/passwd"),
}


@pytest.fixture
def elsewhere() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def loopback_too(address: safe_http.Address) -> bool:
    """For these tests alone: the stranger's server stands on this machine."""
    return str(address) == "127.0.0.1" or safe_http.is_public(address)


def fetch(url: str, most: int = 1_000_000, seconds: float = 60.0) -> bytes:
    return remote_images.open_fetch(allowed=loopback_too, seconds=seconds)(url, most)


def refused(url: str, **limits: Any) -> str:
    with pytest.raises(NotFetched) as fault:
        fetch(url, **limits)
    return fault.value.code


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0",
        "100.64.0.1", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fd00::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:7f00:1::",
        "::127.0.0.1", "::ffff:0:127.0.0.1", "fec0::1",
    ],
)  # fmt: skip
def test_what_is_not_public_is_refused(address: str) -> None:
    assert not safe_http.is_public(ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1"])
def test_what_is_public_is_not(address: str) -> None:
    assert safe_http.is_public(ip_address(address))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1", "10.0.0.1", "169.254.169.254"]
)
def test_our_own_network_is_never_asked(host: str, elsewhere: str) -> None:
    with pytest.raises(NotFetched) as fault:
        remote_images.open_fetch()(f"http://{host}:{elsewhere.rpartition(':')[2]}/good.jpg", 1000)
    assert fault.value.code in ("private_address", "no_answer")


def test_a_name_is_looked_up_once_and_its_every_address_must_be_public(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked = []

    def both(*_: Any, **__: Any) -> list[Any]:
        looked.append(1)
        return [(2, 1, 6, "", (host, 80)) for host in ("93.184.216.34", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    with pytest.raises(NotFetched, match="private_address"):
        remote_images.open_fetch()("http://rebinding.example/a.jpg", 1000)
    assert len(looked) == 1


def test_a_redirect_is_followed_and_looked_at_again(elsewhere: str) -> None:
    assert fetch(f"{elsewhere}/on") == jpeg()
    assert refused(f"{elsewhere}/inside") == "private_address"
    assert refused(f"{elsewhere}/file") == "bad_url"
    assert refused(f"{elsewhere}/round") == "too_many_redirects"


def test_an_endless_body_and_one_that_trickles_are_cut(elsewhere: str) -> None:
    assert refused(f"{elsewhere}/endless.jpg") == "too_large"
    began = time.monotonic()
    assert refused(f"{elsewhere}/trickle.jpg", seconds=1.0) == "no_answer"
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("ftp://example.com/a.jpg", "bad_url"),
        ("http://user:word@example.com/", "bad_url"),
        ("http://[::1", "bad_url"),
        ("http://", "bad_url"),
        ("http://example.com:99999/", "bad_url"),
    ],
)
def test_what_is_no_address_of_a_picture_is_refused(url: str, code: str) -> None:
    assert refused(url) == code


def test_a_wrong_type_is_refused(elsewhere: str) -> None:
    assert refused(f"{elsewhere}/words") == "not_a_photo"


@pytest.fixture
def wanted(town: Town, elsewhere: str) -> Callable[[str], int]:
    """A report that names a picture; its id."""

    def want(path: str) -> int:
        with town.at_work() as scene:
            report = scene.report(channel="api")
            intake.want_picture(scene.s, report, elsewhere + path, at=town.now)
            return report.id

    return want


def test_the_worker_gives_the_picture_to_its_report(town: Town, wanted: Callable[[str], int]) -> None:
    report_id = wanted("/good.jpg")
    assert photo_urls.fetch_due(town.engine, town.settings.var, town.now, fetch) == 1
    with town.looking() as scene:
        [photo] = scene.s.get_one(Report, report_id).photos
        assert photo.case_id == scene.s.get_one(Report, report_id).case_id
        assert scene.s.scalars(select(PhotoDownload)).all() == []
    assert photo_urls.fetch_due(town.engine, town.settings.var, town.now, fetch) == 0


@pytest.mark.parametrize(("path", "why"), [("/words", "not_a_photo"), ("/lies.jpg", "not_a_photo")])
def test_what_is_refused_is_said_in_the_cases_story(
    town: Town, wanted: Callable[[str], int], path: str, why: str
) -> None:
    report_id = wanted(path)
    assert photo_urls.fetch_due(town.engine, town.settings.var, town.now, fetch) == 0
    with town.looking() as scene:
        story = events.of(scene.s, events.of_case(scene.s.get_one(Report, report_id).case_id))
        [(line, words)] = [(e, w) for e, w in story if e.kind == "photo failed"]
        assert line.facts["why"] == why
        assert words["note"].endswith(path)
        assert scene.s.scalars(select(PhotoDownload)).all() == []


def test_loopback_is_refused_by_the_worker_itself(town: Town, wanted: Callable[[str], int]) -> None:
    report_id = wanted("/good.jpg")
    assert photo_urls.fetch_due(town.engine, town.settings.var, town.now, remote_images.open_fetch()) == 0
    with town.looking() as scene:
        story = events.of(scene.s, events.of_case(scene.s.get_one(Report, report_id).case_id))
        assert [e.facts["why"] for e, _ in story if e.kind == "photo failed"] == ["private_address"]


def test_what_does_not_answer_is_asked_again_and_given_up_in_the_end(
    town: Town, wanted: Callable[[str], int]
) -> None:
    wanted("/down.jpg")
    now = town.now
    for _ in range(photo_urls.TRIES):
        with town.looking() as scene:
            assert len(scene.s.scalars(select(PhotoDownload)).all()) == 1
        photo_urls.fetch_due(town.engine, town.settings.var, now, fetch)
        assert photo_urls.fetch_due(town.engine, town.settings.var, now, fetch) == 0, "not at once"
        now += timedelta(hours=1)
    with town.looking() as scene:
        assert scene.s.scalars(select(PhotoDownload)).all() == []


def test_what_was_not_asked_yet_goes_before_what_did_not_answer(
    town: Town, wanted: Callable[[str], int]
) -> None:
    asked: list[str] = []

    def noted(url: str, most: int) -> bytes:
        asked.append(url.rpartition("/")[2])
        return fetch(url, most)

    wanted("/down.jpg")
    photo_urls.fetch_due(town.engine, town.settings.var, town.now, noted)
    wanted("/good.jpg")
    photo_urls.fetch_due(town.engine, town.settings.var, town.now + timedelta(hours=1), noted)
    assert asked == ["down.jpg", "good.jpg", "down.jpg"]


def test_who_does_not_answer_is_asked_for_one_picture_of_many(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safe_http, "MOST_SILENCE", 0.3)
    get = remote_images.open_fetch(allowed=loopback_too)
    with deadhosts.listening() as dead:
        for n in range(5):
            with pytest.raises(NotFetched, match="no_answer") as fault:
                get(f"{dead.urls()[0]}{n}.jpg", 1000)
            assert fault.value.passing
        assert len(dead.calls) == 1


def test_what_could_not_be_decoded_in_time_is_asked_for_again(
    town: Town, wanted: Callable[[str], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted("/good.jpg")
    with monkeypatch.context() as patch:
        patch.setattr(processing, "_room", threading.BoundedSemaphore(1))
        with processing._room:
            assert photo_urls.fetch_due(town.engine, town.settings.var, town.now, fetch) == 0
    assert photo_urls.fetch_due(town.engine, town.settings.var, town.now, fetch) == 0, "not at once"
    later = town.now + photo_urls.FIRST_PAUSE
    assert photo_urls.fetch_due(town.engine, town.settings.var, later, fetch) == 1


def test_what_was_erased_meanwhile_is_not_fetched(town: Town, wanted: Callable[[str], int]) -> None:
    report_id = wanted("/good.jpg")
    with town.at_work() as scene:
        intake.erase(
            scene.s, scene.s.get_one(Report, report_id), storage.open_store(town.settings),
            town.settings.var, by=scene.actor("dispatcher"), at=town.now,
        )  # fmt: skip
    assert photo_urls.fetch_due(town.engine, town.settings.var, town.now, fetch) == 0
    assert processing.MAX_UPLOAD > 1_000_000
