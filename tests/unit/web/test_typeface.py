"""The face has every letter that the product writes, and emails have the colors of pages."""

import re
import tomllib
from pathlib import Path

from wording import catalogue

from city.settings import DEFAULT_CITY
from pwa.messages import letters

ROOT = Path(__file__).parents[3]
RECORD = ROOT / "docs" / "decisions" / "0019-a-typeface-of-our-own.md"
TOKENS = ROOT / "pwa" / "static" / "css" / "tokens.css"


def covered() -> set[int]:
    """Code points that the face was cut to, as the record says how it was made."""
    found = re.search(r"--unicodes=(.*?)```", RECORD.read_text("utf-8"), re.DOTALL)
    assert found
    spans = re.findall(r"U\+([0-9A-F]+)(?:-([0-9A-F]+))?", found[1])
    return {code for first, last in spans for code in range(int(first, 16), int(last or first, 16) + 1)}


def strings(value: object) -> list[str]:
    if isinstance(value, dict):
        return [word for each in value.values() for word in strings(each)]
    if isinstance(value, list):
        return [word for each in value for word in strings(each)]
    return [value] if isinstance(value, str) else []


def test_every_letter_of_both_languages_is_in_the_face() -> None:
    said = [word for message in catalogue("es") for word in (*ids(message.id), *ids(message.string))]
    said += strings(tomllib.loads(DEFAULT_CITY.read_text("utf-8")))
    missing = {
        letter for words in said for letter in words if letter.isalnum() and ord(letter) not in covered()
    }
    assert missing == set()


def ids(value: object) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else (str(value),)


def test_emails_have_the_nights_color_of_pages() -> None:
    found = re.search(r"--brand: var\(--day, #\w+\) var\(--night, (#\w+)\)", TOKENS.read_text("utf-8"))
    assert found
    assert found[1] == letters.NIGHT
