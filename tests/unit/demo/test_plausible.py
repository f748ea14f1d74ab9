"""No case of the demo contradicts itself: its words, its pictures and its kind tell of the same thing."""

from collections.abc import Iterator
from itertools import chain

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from city.board import queries
from city.config import canned_replies, city_file
from city.db import engine as db
from city.db.models import Case, Closure, Crew, Photo, Report, Service
from city.demo import cases, fill, phrases
from city.demo.photos import PICTURES
from city.lifecycle import OPEN
from city.photos.processing import process
from city.settings import DEFAULT_CITY, read

pytestmark = pytest.mark.slow

# Picture → the kinds that it shows, and all that people say beside it. Looked at, one by one.
BESIDE = {
    "basket": ({"basket-full"}, {
        "", "Overflowing since the game on Saturday.", "Gulls are at it every morning.",
        "Está lleno desde el sábado.",
    }),
    "couch": ({"bulky-item", "dumping"}, {
        "", "A couch, soaked by now.", "An old couch, nobody wants it.", "Un sofá mojado en la acera.",
        "Someone dumped a couch here at night.", "That couch is nobody's from this street.",
        "Alguien tiró un sofá aquí de noche.",
    }),
    "lamp-before": ({"light-out", "light-flickering"}, {
        "", "Dark since Sunday. I walk my daughter home here.", "The one outside our door is out again.",
        "The whole corner is dark after six.", "Out for two nights now.", "Está apagado desde el domingo.",
        "La esquina queda muy oscura de noche.", "No alumbra desde hace dos noches.",
        "Goes on and off all night, right into the bedroom.", "Flickers when it rains.",
        "Se prende y se apaga toda la noche.", "Parpadea cuando llueve.",
    }),
    "lamp-after": ({"light-out", "light-flickering"}, {
        "New lamp put in. It is on again.", "New fuse. It is on again.",
        "Changed the driver. It burns steadily.", "Loose contact. Tightened and tested.",
    }),
    "limb": ({"limb-down"}, {
        "", "Big limb across the sidewalk, strollers go into the road.", "Came down in the storm last night.",
        "Una rama grande tapa la acera.", "Se cayó anoche con la tormenta.",
    }),
    "pole": ({"pole-damaged"}, {
        "", "A truck backed into it. It leans toward the road.", "Un camión lo golpeó y quedó inclinado.",
    }),
}  # fmt: skip


def pictures() -> dict[str, str]:
    """What a photo's upload hashes to → the name of its picture."""
    return {process(path.read_bytes()).upload_sha256: path.stem for path in PICTURES.glob("*.jpg")}


@pytest.fixture
def city(years_of_demo: Engine) -> Iterator[Session]:
    with db.read_session(years_of_demo) as s:
        yield s


@pytest.fixture(scope="module")
def years_of_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    settings = read({"CITYLINE_VAR": str(tmp_path_factory.mktemp("plausible"))})
    db.migrate(settings.database_url)
    engine = db.connect(settings.database_url)
    fill.fill(engine, settings, 2500, 311)
    yield engine
    engine.dispose()


def test_every_report_says_what_its_kind_and_its_picture_show(city: Session) -> None:
    drawn = pictures()
    seen = set()
    field = select(Report).join(Case).join(Service).where(~Service.office)
    for report in city.scalars(field):
        kind = report.service_code
        words = {"", *phrases.WORDS[kind][report.lang]}
        again = set(phrases.NOT_FIXED[report.case.service.department_code][report.lang])
        assert report.words in words | again, (report.number, kind)
        for photo in report.photos:
            picture = drawn[photo.upload_sha256]
            kinds, said = BESIDE[picture]
            assert kind in kinds, (report.number, picture)
            assert report.words in said, (report.number, picture)
            seen.add(picture)
    assert seen == BESIDE.keys() - {"lamp-after"}


def test_every_closing_says_what_was_done_about_its_kind(city: Session) -> None:
    drawn = pictures()
    proofs: dict[tuple[int, int], set[str]] = {}
    for photo in city.scalars(select(Photo).where(Photo.cycle.is_not(None))):
        proofs.setdefault((photo.case_id or 0, photo.cycle or 0), set()).add(drawn[photo.upload_sha256])
    closings = city.execute(
        select(Closure, Case.number, Case.service_code)
        .join(Case, Case.id == Closure.case_id)
        .join(Service)
        .where(~Service.office)
    ).all()
    for closing, number, kind in closings:
        if closing.outcome == "fixed":
            assert closing.words in phrases.FIXED[kind], number
            for picture in proofs.get((closing.case_id, closing.cycle), set()):
                kinds, said = BESIDE[picture]
                assert kind in kinds
                assert closing.words in said
        elif closing.reply:
            assert closing.reply["code"] == cases.REPLIES[closing.outcome], number
        else:
            assert closing.words == phrases.ELSE[closing.outcome][kind], number
    assert {closing.outcome for closing, *_ in closings} == {"fixed", *phrases.ELSE}


def test_every_kind_has_words_in_both_languages_and_an_end(city: Session) -> None:
    kinds = {service.code for service in city.scalars(select(Service).where(~Service.office))}
    assert phrases.WORDS.keys() == phrases.FIXED.keys() == kinds
    assert all(said.keys() == {"en", "es"} for said in phrases.WORDS.values())
    assert set(chain(*(why.keys() for why in phrases.ELSE.values()))) == kinds
    assert all(kind in phrases.ELSE["not found"] for kind in kinds)
    said = set(chain(*(chain(*each.values()) for each in phrases.WORDS.values())))
    assert said >= phrases.NOT_SHOWN
    shown = set(chain(*(words for _, words in BESIDE.values())))
    assert not shown & phrases.NOT_SHOWN
    assert {kind for kind, picture in cases.BEFORE.items() if kind not in BESIDE[picture][0]} == set()


def test_no_ready_reply_speaks_of_another_kind() -> None:
    """Of a light that works nobody hears who told of a wire or a pole."""
    city = city_file.load(DEFAULT_CITY)
    for service in city.services:
        told = " ".join(reply.words["en"] for reply in canned_replies.offered(city, service))
        assert ("light is working" in told) == (service.code in ("light-out", "light-flickering"))


def test_every_department_with_work_outside_has_a_crew_and_its_number_is_its_key(city: Session) -> None:
    outside = set(city.scalars(select(Service.department_code).where(~Service.office)))
    crews = city.scalars(select(Crew).order_by(Crew.name)).all()
    assert {crew.department_code for crew in crews} == outside
    assert [int(crew.name.split()[-1]) for crew in crews] == [1, 2, 3, 4, 5]
    assert list(city.scalars(queries._CREWS)) == crews
    held = select(Case.number, Crew.department_code, Service.department_code).join(
        Crew, Crew.id == Case.crew_id
    )
    rows = city.execute(held.join(Service).where(Case.state.in_(OPEN))).all()
    assert rows
    assert {whose for _, whose, _ in rows} <= outside
    assert [row for row in rows if row[1] != row[2]] == []
