"""Hostile words for a pattern: what it may begin with, then the same piece again and again, then what no part
of it takes. The pieces come out of the pattern itself, so that they keep it busy.
"""

from collections.abc import Callable, Iterator
from itertools import permutations
from re import _constants as ops  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, Final, NamedTuple

LETTERS: Final = "a1 A/.-_@\"'\\()[]{}<>#&,:;+=%~\n\t\0é\x80"
# Among them 24: over 32 a pattern that doubles with every letter would last for minutes.
LENGTHS: Final = (8, 16, 24, *(2**n for n in range(5, 14)))
MANY: Final = 16  # times: who may come as often as this is a loop
_CLASSES: Final[dict[object, Callable[[str], bool]]] = {
    ops.CATEGORY_DIGIT: str.isdigit,
    ops.CATEGORY_SPACE: str.isspace,
    ops.CATEGORY_WORD: lambda c: c.isalnum() or c == "_",
    ops.CATEGORY_NOT_DIGIT: lambda c: not c.isdigit(),
    ops.CATEGORY_NOT_SPACE: lambda c: not c.isspace(),
    ops.CATEGORY_NOT_WORD: lambda c: not (c.isalnum() or c == "_"),
}
_LOOPS: Final = (ops.MAX_REPEAT, ops.MIN_REPEAT, ops.POSSESSIVE_REPEAT)
_ONE: Final = (ops.LITERAL, ops.NOT_LITERAL, ops.ANY, ops.IN)


class Words(NamedTuple):
    """`head`, then `piece` as often as wanted, then `tail`."""

    head: str
    piece: str
    tail: str

    def long(self, letters: int) -> str:
        """About so many letters."""
        return self.head + self.piece * (letters // len(self.piece)) + self.tail


def words(pattern: str) -> list[Words]:
    """All that is tried on it: each of its pieces again and again, and any two of them in turn."""
    tree = list(parser.parse(pattern))
    atoms = list(_atoms(tree))
    letters = {tuple(_fits(atom, c) for atom in atoms): c for c in reversed(LETTERS)}  # one of each kind
    letters.pop((False,) * len(atoms), None)
    runs = list(_runs(tree))
    pieces = list(dict.fromkeys([*letters.values(), *runs]))
    stranger = next((c for c in reversed(LETTERS) if not any(_fits(atom, c) for atom in atoms)), "\n")
    heads = dict.fromkeys(["", *_heads(tree, "")])
    alone = [Words(head, piece, tail) for head in heads for piece in pieces for tail in ("", stranger, *runs)]
    turns = [one + other for one, other in permutations(pieces, 2)]
    return alone + [Words(head, piece, stranger) for head in heads for piece in turns]


def _inner(op: object, arg: Any) -> list[list[Any]]:
    """The sequences within one part of a pattern."""
    if op is ops.BRANCH:
        return [list(each) for each in arg[1]]
    if op in _LOOPS:
        return [list(arg[2])]
    if op is ops.SUBPATTERN:
        return [list(arg[3])]
    if op in (ops.ASSERT, ops.ASSERT_NOT):
        return [list(arg[1])]
    return [list(arg)] if op is ops.ATOMIC_GROUP else []


def _atoms(tree: list[Any]) -> Iterator[tuple[Any, Any]]:
    """Whatever takes one letter, but for those of plain words."""
    for n, (op, arg) in enumerate(tree):
        alone = not any(0 <= m < len(tree) and tree[m][0] is ops.LITERAL for m in (n - 1, n + 1))
        if op in _ONE and (op is not ops.LITERAL or alone):
            yield op, arg
        for each in _inner(op, arg):
            yield from _atoms(each)


def _runs(tree: list[Any]) -> Iterator[str]:
    """Words that stand in it letter by letter."""
    run = ""
    for op, arg in [*tree, (None, None)]:
        if op is ops.LITERAL:
            run += chr(arg)
            continue
        if run:
            yield run
        run = ""
        for each in _inner(op, arg):
            yield from _runs(each)


def _heads(tree: list[Any], before: str) -> Iterator[str]:
    """The shortest that leads to each loop in it."""
    for op, arg in tree:
        if op in _LOOPS and arg[1] >= MANY:
            yield before
        for each in _inner(op, arg):
            yield from _heads(each, before)
        before += _shortest([(op, arg)])


def _shortest(tree: list[Any]) -> str:
    said = ""
    for op, arg in tree:
        if op in _ONE:
            said += next((c for c in LETTERS if _fits((op, arg), c)), chr(arg) if op is ops.LITERAL else "")
        elif op in _LOOPS:
            said += _shortest(list(arg[2])) * arg[0]
        elif op in (ops.BRANCH, ops.SUBPATTERN, ops.ATOMIC_GROUP):
            said += _shortest(_inner(op, arg)[0])
    return said


def _fits(atom: tuple[Any, Any], c: str) -> bool:
    op, arg = atom
    if op is ops.LITERAL:
        return ord(c) == int(arg)
    if op is ops.NOT_LITERAL:
        return ord(c) != int(arg)
    if op is ops.ANY:
        return c != "\n"
    if op is ops.RANGE:
        return int(arg[0]) <= ord(c) <= int(arg[1])
    if op is ops.CATEGORY:
        return _CLASSES[arg](c)
    negated = arg[0][0] is ops.NEGATE
    return any(_fits(each, c) for each in arg if each[0] is not ops.NEGATE) != negated
