"""Whatever comes in: a clear page, everything typed kept, nothing half done, never a 500."""

import hashlib
import io
import re
import struct
import sys
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from factories import Town, jpeg
from filled import picks
from flask import Flask
from flask.testing import FlaskClient
from pictures import assert_clean, encoded, is_upright, quarters
from PIL import Image
from sqlalchemy import func, select
from werkzeug.test import TestResponse
from wording import resident, shared, shown

from city.db.models import Address, Case, Photo, Report
from city.photos import photos, processing, storage
from pwa.app import TAKE_PHOTOS

pytestmark = pytest.mark.both_databases

KEY = "0123456789abcdef0123456789abcdef"
FIX = {"lat": "39.61", "lon": "-71.2", "accuracy": "12"}
TYPED = {"words": "dark since Sunday", "group": "tree", "answer-limb-down-blocked": "partly"}

Fill = Callable[..., TestResponse]


@pytest.fixture
def post(client: FlaskClient, token: Callable[[], str]) -> Fill:
    csrf = token()

    def send(**changes: Any) -> TestResponse:
        fields = {"csrf_token": csrf, "key": KEY} | TYPED | FIX | changes
        return client.post("/report", data={k: v for k, v in fields.items() if v is not None})

    return send


def bomb() -> bytes:
    """A PNG of a few hundred bytes that says it is 60,000 pixels wide and high."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * 100_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


SMALL = encoded(Image.new("RGB", (96, 96)), "HEIF")
BOMB = SMALL.replace(struct.pack(">II", 96, 96), struct.pack(">II", 9000, 9000))
BAD_PHOTOS = {
    "text": (b"I am not a picture", shared.NOT_A_PHOTO),
    "gif": (b"GIF89a\1\0\1\0\0\0\0;", shared.NOT_A_PHOTO),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", shared.NOT_A_PHOTO),
    "pdf": (b"%PDF-1.7", shared.NOT_A_PHOTO),
    "heic": (SMALL[:-20], shared.PHOTO_DAMAGED),
    "heic bomb": (BOMB, shared.PHOTO_TOO_MANY_PIXELS),
    "truncated": (jpeg(size=(1600, 1200))[:900], shared.PHOTO_DAMAGED),
    "bomb": (bomb(), shared.PHOTO_TOO_MANY_PIXELS),
    "large": (b"\xff\xd8\xff" + b"\0" * 300_000, shared.PHOTO_TOO_LARGE),
}


@pytest.fixture(autouse=True)
def _low_ceiling(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that "too large" need not be 20 MB in every run."""
    monkeypatch.setattr(processing, "MAX_UPLOAD", 300_000)


def written(town: Town) -> int:
    with town.looking() as scene:
        return sum(
            scene.s.scalar(select(func.count()).select_from(what)) or 0 for what in (Report, Case, Photo)
        )


def is_kept(response: TestResponse) -> None:
    page = response.get_data(as_text=True)
    assert response.status_code == 422
    assert 'id="errors" role="alert" tabindex="-1" autofocus' in page
    assert "dark since Sunday" in page
    assert 'value="tree" checked' in page
    assert 'value="partly" checked' in page
    assert f'name="key" value="{KEY}"' in page


@pytest.mark.parametrize("what", BAD_PHOTOS)
def test_a_bad_photo_is_told_and_the_form_kept(town: Town, post: Fill, what: str) -> None:
    data, told = BAD_PHOTOS[what]
    answer = post(photo=(io.BytesIO(data), "holiday.jpg"))
    is_kept(answer)
    assert told in shown(answer)
    assert written(town) == 0


@pytest.mark.parametrize("what", BAD_PHOTOS)
def test_a_bad_photo_sent_ahead_is_told_as_json(
    town: Town, client: FlaskClient, token: Callable[[], str], what: str
) -> None:
    data, told = BAD_PHOTOS[what]
    upload = {"key": KEY, "csrf_token": token(), "photo": (io.BytesIO(data), "holiday.jpg")}
    answer = client.post("/report/photos", data=upload)
    assert answer.status_code == 422
    assert answer.get_json()["fault"] == told
    assert written(town) == 0


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_a_photo_that_the_phone_itself_could_not_open_is_taken_as_it_is(
    town: Town, client: FlaskClient, token: Callable[[], str], post: Fill, kind: str
) -> None:
    sent = encoded(quarters(), kind)
    upload = {"key": KEY, "csrf_token": token(), "photo": (io.BytesIO(sent), "IMG_5195.HEIC")}
    ahead = client.post("/report/photos", data=upload).get_json()
    assert is_upright(Image.open(io.BytesIO(client.get(ahead["url"]).data)))
    assert post(photo=(io.BytesIO(sent), "again.HEIC")).status_code == 303
    with town.looking() as scene:
        [photo] = scene.s.scalars(select(Report)).one().photos
        assert photo.upload_sha256 == hashlib.sha256(sent).hexdigest()
        full = photos.read(storage.open_store(town.settings), town.settings.var, photo, "full")
        assert_clean(full)


def test_whoever_sends_a_damaged_photo_ahead_hears_that_a_part_is_left_out(
    client: FlaskClient, token: Callable[[], str]
) -> None:
    sent = encoded(Image.effect_noise((400, 400), 60))
    upload = {"key": KEY, "csrf_token": token(), "photo": (io.BytesIO(sent[: len(sent) * 4 // 5]), "a.jpg")}
    answer = client.post("/report/photos", data=upload)
    assert answer.status_code == 200
    assert re.fullmatch(
        resident.PART_DAMAGED(size=resident.UPLOADED(size=r"\d+")), answer.get_json()["words"]
    )


def test_a_good_photo_beside_a_bad_one_is_kept(town: Town, post: Fill) -> None:
    bad, good = (io.BytesIO(b"text"), "a.jpg"), (io.BytesIO(jpeg()), "b.jpg")
    answer = post(photo=[bad, good])
    is_kept(answer)
    which = resident.PHOTO_NOT_ADDED(name="a.jpg")
    assert f"{which} {shared.NOT_A_PHOTO}" in shown(answer)  # of several, which one
    assert written(town) == 1  # the good one, staged
    assert post().status_code == 303
    with town.looking() as scene:
        assert len(scene.s.scalars(select(Report)).one().photos) == 1


def test_a_sixth_photo_is_one_too_many(town: Town, post: Fill) -> None:
    colours = ("red", "green", "blue", "gold", "navy", "white")
    answer = post(photo=[(io.BytesIO(jpeg(colour)), f"{colour}.jpg") for colour in colours])
    is_kept(answer)
    assert shared.FIVE_PHOTOS in answer.get_data(as_text=True)
    assert written(town) == 5


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"lat": "40.9", "lon": "-74.0"}, shared.OUTSIDE_CITY),
        ({"lat": None, "lon": None}, shared.PLACE_MISSING),
        ({"lat": "north", "lon": "west"}, shared.PLACE_MISSING),
        ({"lat": "nan", "lon": "inf"}, shared.PLACE_MISSING),
        ({"lat": "91", "lon": "0"}, shared.PLACE_MISSING),
        ({"place": "Nowhere Lane 7"}, shared.PLACE_UNKNOWN),
        ({"place": "x" * 100_000}, shared.PLACE_UNKNOWN),
        ({"accuracy": "5000"}, shared.PLACE_UNSURE),
        ({"accuracy": ""}, shared.PLACE_UNSURE),
        ({"service-tree": "unicorn"}, shared.CHOOSE_TYPE),
        ({"answer-limb-down-blocked": "perhaps"}, shared.UNKNOWN_VALUE),
    ],
)
def test_what_cannot_be_right_is_told(town: Town, post: Fill, changes: dict[str, Any], told: str) -> None:
    answer = post(**changes)
    page = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert told in shown(page)
    assert "dark since Sunday" in page
    assert written(town) == 0


def test_an_unknown_tile_and_no_place_are_two_things_to_mend(town: Town, post: Fill) -> None:
    page = post(group="unicorn", lat="", lon="").get_data(as_text=True)
    assert shared.PROBLEMS(2) in page
    assert 'href="#kind"' in page
    assert 'href="#place"' in page


def test_too_many_words_come_back_whole(town: Town, post: Fill) -> None:
    answer = post(words="w" * 5000)
    assert answer.status_code == 422
    assert "w" * 5000 in answer.get_data(as_text=True)
    assert written(town) == 0


@pytest.mark.parametrize("field", ["words", "place", "answer-limb-down-blocked", "join", "key"])
def test_a_nul_which_no_keyboard_types_is_refused(town: Town, post: Fill, field: str) -> None:
    assert post(**{field: "a\0b"}).status_code == 400
    assert written(town) == 0


def test_a_place_with_two_answers_is_asked_about(town: Town, post: Fill) -> None:
    with town.at_work() as scene:
        scene.s.add_all(
            Address(label=f"5 Mill Lane, {side}", lat=lat, lon=-71.2, cell="x")
            for side, lat in (("North", 39.61), ("South", 39.59))
        )
    answer = post(place="5 Mill Lane")
    page = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert "5 Mill Lane, North" in page
    assert "5 Mill Lane, South" in page
    assert post(place="5 Mill Lane", pick="7").status_code == 422
    assert post(place="5 Mill Lane", pick=picks(page)[1]).status_code == 303
    with town.looking() as scene:
        assert scene.s.scalars(select(Report)).one().address == "5 Mill Lane, South"


@pytest.mark.parametrize("key", ["", "short", "../../etc/passwd", "G" * 32, "0" * 33])
def test_a_key_that_we_did_not_make_gets_a_new_one(town: Town, post: Fill, key: str) -> None:
    answer = post(key=key, photo=(io.BytesIO(jpeg()), "a.jpg"))
    page = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert resident.PAGE_OPEN_A_WHILE in page
    assert "dark since Sunday" in page
    assert written(town) == 0


@pytest.mark.parametrize("csrf", [None, "", "forged", "IjEyMyI.aaaa.bbbb"])
def test_a_stale_token_keeps_the_form_and_writes_nothing(town: Town, post: Fill, csrf: str | None) -> None:
    answer = post(csrf_token=csrf, photo=(io.BytesIO(jpeg()), "a.jpg"))
    is_kept(answer)
    assert resident.PAGE_OPEN_A_WHILE in answer.text
    assert written(town) == 0


def test_a_million_fields_are_not_even_read(client: FlaskClient) -> None:
    form = {"content_type": "application/x-www-form-urlencoded"}
    for address in ("/report", "/desk/calls", "/login"):
        assert client.post(address, data="a=&" * 400_000, **form).status_code == 413


@pytest.mark.parametrize(
    "address",
    ["/report/photos", "/report/photos/x/remove", "/case/26-000001/withdraw", "/sent/26-000001-A/news"],
)
def test_every_other_form_wants_a_token_too(town: Town, client: FlaskClient, address: str) -> None:
    answer = client.post(address, data={"key": KEY, "photo": (io.BytesIO(jpeg()), "a.jpg")})
    assert answer.status_code == 400
    assert shared.PAGE_STALE_TITLE in answer.get_data(as_text=True)
    assert written(town) == 0


class Unread(io.RawIOBase):
    """A body that tells whether anybody looked at it."""

    was_read = False

    def readinto(self, buffer: Any, /) -> int:
        self.was_read = True
        return 0


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "application/x-www-form-urlencoded"])
def test_a_form_of_100_mb_is_refused_unread_except_where_photos_are_taken(
    app: Flask, client: FlaskClient, kind: str
) -> None:
    taken = set()
    for rule in app.url_map.iter_rules():
        if "POST" not in (rule.methods or ()) or rule.endpoint.startswith("sync."):
            continue  # sync/ says by itself how large each of its bodies may be
        path = re.sub("<[^>]*>", "x", re.sub("<natural:[^>]*>", "1", rule.rule))
        body = Unread()
        sends = {"wsgi.input": body, "CONTENT_LENGTH": "100000000", "CONTENT_TYPE": kind}
        answer = client.post(path, environ_overrides=sends)
        assert body.was_read != (answer.status_code == 413), path
        if body.was_read:
            taken.add(rule.endpoint)
    assert taken == (set(TAKE_PHOTOS) if kind.startswith("multipart") else set())


def test_a_request_that_is_too_large_is_cut_off(app: Flask, client: FlaskClient, post: Fill) -> None:
    app.config["MAX_CONTENT_LENGTH"] = 1000
    answer = post(photo=(io.BytesIO(jpeg()), "a.jpg"))
    assert answer.status_code == 413
    assert shared.SEND_FEWER_PHOTOS in answer.get_data(as_text=True)


def test_an_address_longer_than_any_of_ours_is_refused_unread(client: FlaskClient) -> None:
    assert client.get("/cases", query_string={"q": "1" * 31_000}).status_code == 200
    for address in ("/cases?q=" + "1" * 32_000, "/cases/" + "1" * 32_000):
        answer = client.get(address)
        assert answer.status_code == 414
        assert resident.LINK_TOO_LONG in answer.get_data(as_text=True)


def test_a_photo_that_ends_its_decoder_is_told_and_the_form_kept(
    town: Town, post: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = (
        "import os; from city.photos import decoder; decoder._done = lambda *_: os.abort(); decoder.main()"
    )
    processing._decoder.end()
    with monkeypatch.context() as patch:
        patch.setattr(processing, "COMMAND", [sys.executable, "-c", program])
        answer = post(photo=(io.BytesIO(jpeg()), "holiday.jpg"))
        processing._decoder.end()
    is_kept(answer)
    assert shared.PHOTO_DAMAGED in shown(answer)
    assert written(town) == 0
    assert post(photo=(io.BytesIO(jpeg()), "holiday.jpg")).status_code == 303


@pytest.mark.parametrize(
    "address",
    [
        "/case/26-999999", "/case/%00", "/case/26-000001-ZZ", "/sent/26-000001-A", "/s/nonsense",
        "/s/" + "0" * 32, "/news/1/x", "/news/999999999999/x", "/report/photos/none.jpg?form=" + KEY,
    ],
)  # fmt: skip
def test_what_is_not_there_is_404(town: Town, client: FlaskClient, address: str) -> None:
    assert client.get(address).status_code == 404


def test_a_number_in_an_address_that_no_database_keeps_is_404(
    app: Flask, client: FlaskClient, log_in: Callable[..., FlaskClient]
) -> None:
    rules = [rule for rule in app.url_map.iter_rules() if "<natural:" in rule.rule]
    assert len(rules) > 10
    assert not [rule.rule for rule in app.url_map.iter_rules() if "<int" in rule.rule], "natural is for that"
    log_in("administrator")
    for rule in rules:
        for number in (str(2**31), "9" * 5000, "-1", "\u0663"):
            path = re.sub(r"<[^>]*>", number, rule.rule)
            assert client.get(path).status_code in (404, 405), rule.rule


@pytest.mark.parametrize(
    "query",
    ["?lat=nan&lon=1", "?lat=1", "?lat=999&lon=999", "?q=%25%5F", "?service='", "?lat=&lon="],
)
def test_fragments_take_nonsense_calmly(town: Town, client: FlaskClient, query: str) -> None:
    for address in ("/", "/report/place", "/report/near"):
        assert client.get(address + query).status_code == 200


def test_who_gets_no_connection_in_time_is_told_that_nothing_was_written(
    app: Flask, post: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = app.extensions["cityline"].engine.pool
    monkeypatch.setattr(pool, "_timeout", 0.05)
    held = [pool.connect() for _ in range(pool.size() + pool._max_overflow)]
    answer = post()
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
    assert shared.NOTHING_SAVED(number="311") in shown(answer)
    for connection in held:
        connection.close()
    assert post().status_code == 303


def test_a_field_without_a_name_is_refused(client: FlaskClient) -> None:
    """A part of a body may have none; the search for the form's token takes every field to have one."""
    body = b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n"
    for path in ("/report", "/report/photos", "/login"):
        sent = client.post(path, data=body, content_type="multipart/form-data; boundary=b")
        assert sent.status_code == 400, path
