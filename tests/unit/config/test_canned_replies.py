"""Ready replies: which the city file offers of a closing, and what a closing keeps of one."""

import pytest
from factories import Town

from city.audit import events
from city.cases import queries, transitions
from city.cases.transitions import Closing
from city.config import canned_replies, city_file
from city.config.city_file import CityFile, CityFileError
from city.lifecycle import Refused
from city.settings import DEFAULT_CITY

TEXT = DEFAULT_CITY.read_text("utf-8")
ONE = """
[[replies]]
code = "{code}"
outcome = "{outcome}"
{where}
names = {{ en = "Gone", es = "No está" }}
words = {{ en = "It was gone.", es = "Ya no estaba." }}
"""


def larkhaven(*more: str) -> CityFile:
    return city_file.parse(TEXT + "".join(more), "city.toml")


def reply(code: str = "gone", outcome: str = "not found", where: str = "") -> str:
    return ONE.format(code=code, outcome=outcome, where=where)


def test_what_is_meant_for_the_service_stands_before_what_fits_any() -> None:
    city = larkhaven(reply("mine", "not ours", where='service = "limb-down"'))
    service = next(x for x in city.services if x.code == "limb-down")
    offered = [r.code for r in canned_replies.offered(city, service, "not ours")]
    assert offered == ["mine", "private-tree", "not-the-citys"]
    outcomes = [r.outcome for r in canned_replies.offered(city, service)]
    assert outcomes == ["fixed", "not found", "not ours", "not ours", "not ours", "no action"]


def test_nothing_is_offered_to_another_service() -> None:
    city = larkhaven(reply("mine", where='service = "stump"'))
    service = next(x for x in city.services if x.code == "pothole")
    assert "mine" not in [r.code for r in canned_replies.offered(city, service)]
    with pytest.raises(Refused, match="reply_misfits"):
        canned_replies.chosen(city, service, "not found", "mine")
    with pytest.raises(Refused, match="reply_misfits"):
        canned_replies.chosen(city, service, "fixed", "nothing-there")
    with pytest.raises(Refused, match="unknown_reply"):
        canned_replies.chosen(city, service, "fixed", "no such")


@pytest.mark.parametrize(
    ("wrong", "line", "told"),
    [
        (reply(where='service = "lamps"'), 5, "'lamps' isn't one of"),
        (reply(where='group = "lamps"'), 5, "'lamps' isn't one of"),
        (reply(outcome="done"), 4, "'done' isn't one of"),
        (reply("new-lamp"), 3, "'new-lamp' is already used by another reply"),
        (reply("x" * 41), 3, "has more than 40 characters"),
        (reply(where='service = "stump"\ngroup = "tree"'), 6, "isn't needed, because service is set too"),
        (reply().replace(", es = \"Ya no estaba.\"", ""), 7, "words.es: is missing"),
        (reply().replace("es = \"Ya", "fr = \"Plus\", es = \"Ya"), 7, "words.fr: isn't a known key"),
        (reply().replace("It was gone.", "w" * 4001), 7, "is longer than 4000 characters"),
        (reply().replace("names", "nams"), 6, "names: is missing, but line"),
    ],
)  # fmt: skip
def test_a_wrong_reply_is_told_with_its_line(wrong: str, line: int, told: str) -> None:
    with pytest.raises(CityFileError) as fault:
        larkhaven(wrong)
    assert told in str(fault.value)
    assert f"line {len(TEXT.splitlines()) + line}:" in str(fault.value) or "missing" in told


def test_a_closing_keeps_the_reply_of_then_in_every_language(town: Town) -> None:
    city = larkhaven()
    with town.at_work() as scene:
        case = scene.report().case
        ready = canned_replies.chosen(city, case.service, "", "new-lamp")
        transitions.close(
            scene.s,
            case,
            Closing(
                ready.outcome, no_photo="dark", words="Pole 20-118.", reply=canned_replies.as_stored(ready, 7)
            ),
            by=scene.actor("dispatcher"),
            at=town.now,
        )
        case_id = case.id
    with town.looking() as scene:
        (line,) = (e for e, _ in events.of(scene.s, f"case:{case_id}") if e.kind == "close")
        assert (line.facts["reply"], line.facts["policy"]) == ("new-lamp", 7)
        case = scene.case("26-000001")
        proof = queries.reporter_view(scene.s, case.reports[0], now=town.now).proof
        assert proof is not None
        assert (proof.words, sorted(proof.reply)) == ("Pole 20-118.", ["en", "es"])
        assert events.verify(scene.s) == []
