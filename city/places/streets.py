"""Street names as people write them, and which of a city's streets somebody means. Pure; no places here."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from rapidfuzz import process
from rapidfuzz.distance import OSA

# What a street is, as the last word of its name says it; short forms after the Postal Service's list.
_TYPES: Final = {
    "alley": "aly", "avenue": "ave av avda avenida", "boulevard": "blvd bulevar", "bridge": "brg puente",
    "center": "ctr centre", "circle": "cir", "court": "ct", "crescent": "cres", "drive": "dr",
    "extension": "ext", "gardens": "gdns", "green": "grn", "heights": "hts", "highway": "hwy", "hill": "hl",
    "lane": "ln", "landing": "lndg", "mews": "", "park": "pk", "parkway": "pkwy", "path": "",
    "place": "pl", "plaza": "plz", "road": "rd camino", "row": "", "square": "sq", "steps": "",
    "street": "st str", "terrace": "ter terr", "trail": "trl", "turnpike": "tpke", "walk": "", "way": "",
}  # fmt: skip
_DIRECTIONS: Final = {"north": "n", "south": "s", "east": "e", "west": "w"}
_ORDINALS: Final = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
    "eleventh", "twelfth",
)  # fmt: skip
_LONG: Final = {
    **{short: long for long, shorts in _TYPES.items() for short in shorts.split()},
    **{short: long for long, short in _DIRECTIONS.items()},
    **{f"{n}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(n, 'th') }": word for n, word in enumerate(_ORDINALS, start=1)},
    "mt": "mount", "ft": "fort", "sgt": "sergeant", "cpl": "corporal", "msgr": "monsignor", "jr": "junior",
}  # fmt: skip
# What the same letters mean before a name: St Paul Street, Dr King Avenue.
_BEFORE_A_NAME: Final = {"st": "saint", "dr": "doctor"}
# A name must have so many letters for two swapped ones, for any one slip of the finger, for two.
_SWAPPED_LETTERS, _SURE_LETTERS, _LONG_LETTERS = 3, 4, 9
_MOST_SLIPS = 2


def normal(words: str) -> str:
    """Lower case, no accents, one space, long forms ("st" → "street"): what names are compared by."""
    short, long = tokens(words), []
    for n, token in enumerate(short):
        leads = n + 1 < len(short) and (n == 0 or short[n - 1][0].isdigit())
        long.append(_BEFORE_A_NAME[token] if leads and token in _BEFORE_A_NAME else _LONG.get(token, token))
    return " ".join(long)


def tokens(words: str) -> list[str]:
    """The words in small letters without accents, each as it is written."""
    words = re.sub("[½¼¾]", lambda part: " " + unicodedata.normalize("NFKD", part[0]), words)
    plain = unicodedata.normalize("NFKD", words).replace("\u2044", "/")
    plain = plain.encode("ascii", "ignore").decode().lower()
    return re.sub(r"[.,#]", " ", plain.replace("'", "")).split()


def alike(written: str, known: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Which of `known`, by their place in it, may be meant; and with how many slips."""
    near = process.extract(written, known, scorer=OSA.distance, score_cutoff=_MOST_SLIPS, limit=None)
    yield from ((n, int(slips)) for meant, slips, n in near if may_mean(written, meant, int(slips)))


def may_mean(written: str, meant: str, slips: int) -> bool:
    """Whether so many slips may lead from one to the other: Elk is not Elm, but Eml is."""
    longer = max(len(written), len(meant))
    swapped = slips == 1 and len(written) >= _SWAPPED_LETTERS and sorted(written) == sorted(meant)
    return slips <= (longer >= _SURE_LETTERS) + (longer >= _LONG_LETTERS) or swapped


class Name(NamedTuple):
    """A street's name in its parts; type and direction are "" where it has none."""

    core: tuple[str, ...]
    type: str
    direction: str

    @property
    def joined(self) -> str:
        """The core without its spaces, which people set as they like: De Wolfe, DeWolfe."""
        return "".join(self.core)


def parse(words: str) -> Name:
    """The parts of a street's name; "calle" before a name says no more than that it is one."""
    long = normal(words).split()
    start, stop = int(len(long) > 1 and long[0] == "calle"), len(long)
    direction = kind = ""
    # A street may be called East Street: a direction leaves more than a type.
    if (
        stop - start > 1
        and long[stop - 1] in _DIRECTIONS
        and not set(long[start : stop - 1]) <= _TYPES.keys()
    ):
        direction, stop = long[stop - 1], stop - 1
    elif stop - start > 1 and long[start] in _DIRECTIONS and not set(long[start + 1 : stop]) <= _TYPES.keys():
        direction, start = long[start], start + 1
    if stop - start > 1 and long[stop - 1] in _TYPES:
        kind, stop = long[stop - 1], stop - 1
    return Name(tuple(long[start:stop]), kind, direction)


class Named(Protocol):
    """Whatever bears a street's name."""

    @property
    def label(self) -> str: ...


S = TypeVar("S", bound=Named)


class Match(NamedTuple, Generic[S]):
    """Streets that somebody may mean. `slips` is 0 where what they wrote is the name, or a part of it."""

    streets: tuple[S, ...]
    whole: bool  # the whole name was written, with type and direction
    slips: int = 0


class Directory(Generic[S]):
    """A city's streets by their names."""

    def __init__(self, streets: Iterable[S]) -> None:
        self._whole: dict[tuple[str, str, str], list[S]] = defaultdict(list)
        self._any_order: dict[tuple[str, ...], list[S]] = defaultdict(list)
        self._cores: dict[str, list[tuple[Name, S]]] = defaultdict(list)
        self._spelled: list[tuple[str, Name, S]] = []  # cores as they are written, long and short
        self._joined: list[
            tuple[str, str, bool, S]
        ] = []  # all in one word: with its core; whether with a type
        for street in streets:
            name = parse(street.label)
            if not name.joined:  # "." or letters of another alphabet: nobody can ask for it
                continue
            self._whole[name.joined, name.type, name.direction].append(street)
            self._any_order[_sorted(name)].append(street)
            self._cores[name.joined].append((name, street))
            for core in _cores(street.label, name):
                self._spelled.append((core, name, street))
                self._joined += [(form, core, whole, street) for form, whole in _forms(core, name)]
        self._spelled_cores = [core for core, _, _ in self._spelled]
        self._joined_forms = [form for form, _, _, _ in self._joined]

    def find(self, words: str) -> Match[S]:
        """The streets that `words` name: exactly, in another order, in part, or with a slip of the finger.

        Only the first of these that finds any counts. A slip is one letter more, less, other, or two swapped;
        a short name allows none and a long one two. A type that is another one is another street.
        """
        name = parse(words)
        if not name.joined:
            return Match((), whole=False)
        if found := self._whole.get((name.joined, name.type, name.direction)):
            return Match(tuple(found), whole=True)
        if found := self._any_order.get(_sorted(name)):
            return Match(tuple(found), whole=True)
        same_core = self._cores.get(name.joined, [])
        if found := [street for other, street in same_core if _leaves_out(name, other)]:
            return Match(tuple(found), whole=False)
        near = list(self._with_type(words, name) if name.type else self._in_one_word(words))
        best = min((cost for cost, _ in near), default=(0, False))
        slipped = {id(street): street for cost, street in near if cost == best}
        return Match(tuple(slipped.values()), whole=False, slips=best[0])

    def _with_type(self, words: str, name: Name) -> Iterator[tuple[tuple[int, bool], S]]:
        """Streets of the type that was written, with the slips in their name; and without their direction."""
        for written in _cores(words, name):
            for n, slips in alike(written, self._spelled_cores):
                _, other, street = self._spelled[n]
                if _leaves_out(name, other):
                    yield (slips, name.direction != other.direction), street

    def _in_one_word(self, words: str) -> Iterator[tuple[tuple[int, bool], S]]:
        """The same where no type was written, one with a slip, or one without a space before it."""
        written = "".join(tokens(words))
        for n, slips in alike(written, self._joined_forms):
            _, core, whole, street = self._joined[n]
            # A slip must not lie in a name that is too short for it, only in the type behind.
            if written.startswith(core) or may_mean(core, core, slips):
                yield (slips, not whole), street


def _sorted(name: Name) -> tuple[str, ...]:
    return tuple(sorted(part for part in (*name.core, name.type, name.direction) if part))


def _leaves_out(name: Name, other: Name) -> bool:
    """Whether the type and direction of `name` are the other's, or were left out."""
    return name.type in ("", other.type) and name.direction in ("", other.direction)


def _cores(words: str, name: Name) -> set[str]:
    """The name's core in one word, long and as it is written: mountauburn, mtauburn."""
    short, long = tokens(words), normal(words).split()
    start = next(n for n in range(len(long)) if tuple(long[n : n + len(name.core)]) == name.core)
    return {name.joined, "".join(short[start : start + len(name.core)])}


def _forms(core: str, name: Name) -> Iterator[tuple[str, bool]]:
    """A name in one word, its type and direction long, short or left out; and whether all of it is there."""
    kinds = ["", name.type, *_TYPES[name.type].split()] if name.type else [""]
    ways = ["", name.direction, name.direction[:1]] if name.direction else [""]
    for kind in kinds:
        for way in ways:
            whole = bool(kind or not name.type) and bool(way or not name.direction)
            yield way + core + kind, whole
            if way:
                yield core + kind + way, whole
