"""Draws the diagrams of the documentation from text: `python docs/diagrams.py` writes docs/images/*.svg.

A diagram is boxes in a grid and arrows between them. A test holds the files against what is said here.
"""

from html import escape
from pathlib import Path
from typing import NamedTuple

IMAGES = Path(__file__).parent / "images"
WIDTH, HEIGHT, ACROSS, DOWN = 190, 62, 70, 54  # of a box, and between two
PAD = 16
LINE = 18  # from one line of text to the next


class Box(NamedTuple):
    """`at` is its column and row, counted from 0. `kind` is person, ours or other."""

    at: tuple[int, int]
    words: str
    kind: str = "ours"


class Diagram(NamedTuple):
    """`arrows` lead from a box to a box, by name, with words beside them."""

    title: str
    boxes: dict[str, Box]
    arrows: list[tuple[str, str, str]]


CONTEXT = Diagram(
    "Who and what Cityline speaks with",
    {
        "resident": Box((0, 0), "Resident|phone or computer", "person"),
        "caller": Box((0, 2), "Caller", "person"),
        "crew": Box((0, 1), "Crew|phone, often no signal", "person"),
        "web": Box((1, 0), "Web server|pages, Open311, sync"),
        "desk": Box((1, 2), "Call-taker, dispatcher|desk and board", "person"),
        "worker": Box((2, 0), "Worker|messages, photos, figures"),
        "db": Box((2, 1), "Database|SQLite or PostgreSQL"),
        "store": Box((2, 2), "Photo store|folder or S3"),
        "out": Box((3, 0), "Mail, texts,|notifications", "other"),
        "programs": Box((3, 1), "Other programs|Open311, webhooks", "other"),
        "data": Box((3, 2), "Anyone|open data, figures", "person"),
    },
    [
        ("resident", "web", "reports"),
        ("caller", "desk", "calls"),
        ("crew", "web", "syncs"),
        ("desk", "web", "works"),
        ("web", "db", "cases, log"),
        ("worker", "db", "reads the log"),
        ("worker", "out", "sends"),
        ("worker", "programs", "tells"),
        ("db", "store", "names photos"),
        ("db", "data", "published"),
    ],
)
REPORT = Diagram(
    "The way of a report",
    {
        "told": Box((0, 0), "Resident sends|words, photo, place", "person"),
        "intake": Box((1, 0), "reports/intake|checks, opens a case"),
        "log": Box((2, 0), "audit/events|a line in the log"),
        "fan_out": Box((3, 0), "notifications|receipt by email or text"),
        "board": Box((0, 1), "Dispatcher assigns|on the board", "person"),
        "assign": Box((1, 1), "cases/transitions|the verb, in one commit"),
        "pull": Box((2, 1), "sync/pull|news for the crew"),
        "job": Box((3, 1), "Crew sees the job|and goes there", "person"),
        "close": Box((0, 2), "Crew closes it|offline, with a photo", "person"),
        "push": Box((1, 2), "sync/push and merge|decides under a lock"),
        "proof": Box((2, 2), "photos|clean, store, attach"),
        "heard": Box((3, 2), "Resident sees the photo|and says whether it's fixed", "person"),
    },
    [
        ("told", "intake", ""), ("intake", "log", ""), ("log", "fan_out", ""), ("board", "assign", ""),
        ("assign", "pull", ""), ("pull", "job", ""), ("close", "push", ""), ("push", "proof", ""),
        ("proof", "heard", ""),
    ],
)  # fmt: skip
ROOMS = Diagram(
    "The rooms, each above those that it may import",
    {
        "cli": Box((0, 0), "pwa: cli, worker, app"),
        "pages": Box((0, 1), "pwa: pages, openapi"),
        "views": Box((0, 2), "pwa: board, messages,|metrics, open311"),
        "web": Box((0, 3), "pwa: web"),
        "exchange": Box((1, 2), "sync: routes, push, pull"),
        "work": Box((1, 3), "sync: operations, merge,|uploads"),
        "demo": Box((2, 0), "city: demo"),
        "answers": Box((2, 1), "city: answers, operations"),
        "imports": Box((2, 2), "city: imports, privacy"),
        "reports": Box((2, 3), "city: reports"),
        "board": Box((3, 3), "city: board,|notifications, opendata"),
        "cases": Box((3, 2), "city: cases, metrics"),
        "places": Box((3, 1), "city: places, config,|people"),
        "db": Box((3, 0), "city: audit, photos, db,|root"),
    },
    [
        ("cli", "pages", ""), ("pages", "views", ""), ("views", "web", ""), ("web", "work", ""),
        ("exchange", "work", ""), ("work", "reports", ""), ("demo", "answers", ""),
        ("answers", "imports", ""), ("imports", "reports", ""), ("reports", "board", ""),
        ("board", "cases", ""), ("cases", "places", ""), ("places", "db", ""),
    ],
)  # fmt: skip
DIAGRAMS = {"context": CONTEXT, "report": REPORT, "rooms": ROOMS}
FILL = {"person": "#fff4d6", "ours": "#e3effb", "other": "#eeeeee"}


def svg(diagram: Diagram) -> str:
    """The diagram as a file."""
    columns = 1 + max(box.at[0] for box in diagram.boxes.values())
    rows = 1 + max(box.at[1] for box in diagram.boxes.values())
    width = columns * WIDTH + (columns - 1) * ACROSS + 2 * PAD
    height = rows * HEIGHT + (rows - 1) * DOWN + 2 * PAD
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'font-family="sans-serif" font-size="14"><title>{escape(diagram.title)}</title>',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
        'orient="auto"><path d="M0 0 8 4 0 8z" fill="#333"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        *(_arrow(diagram, *each) for each in diagram.arrows),
        *(_box(box) for box in diagram.boxes.values()),
    ]
    return "\n".join([*parts, "</svg>\n"])


def _corner(box: Box) -> tuple[int, int]:
    return PAD + box.at[0] * (WIDTH + ACROSS), PAD + box.at[1] * (HEIGHT + DOWN)


def _box(box: Box) -> str:
    x, y = _corner(box)
    lines = box.words.split("|")
    top = y + (HEIGHT - LINE * (len(lines) - 1)) // 2 + 5
    weights = ["bold", *["normal"] * (len(lines) - 1)]
    texts = "".join(
        f'<text x="{x + WIDTH // 2}" y="{top + n * LINE}" text-anchor="middle" fill="#111" '
        f'font-weight="{weight}">{escape(line)}</text>'
        for n, (line, weight) in enumerate(zip(lines, weights, strict=True))
    )
    return (
        f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="8" fill="{FILL[box.kind]}" '
        f'stroke="#333"/>{texts}'
    )


def _arrow(diagram: Diagram, start: str, end: str, words: str) -> str:
    """From the side of one that looks at the other; words beside its middle."""
    one, other = diagram.boxes[start], diagram.boxes[end]
    (x1, y1), (x2, y2) = _corner(one), _corner(other)
    if one.at[0] != other.at[0]:
        forward = one.at[0] < other.at[0]
        x1, x2 = (x1 + WIDTH, x2) if forward else (x1, x2 + WIDTH)
        y1, y2 = y1 + HEIGHT // 2, y2 + HEIGHT // 2
    else:
        down = one.at[1] < other.at[1]
        y1, y2 = (y1 + HEIGHT, y2) if down else (y1, y2 + HEIGHT)
        x1, x2 = x1 + WIDTH // 2, x2 + WIDTH // 2
    said = (
        f'<text x="{(x1 + x2) // 2}" y="{(y1 + y2) // 2 - 5}" text-anchor="middle" fill="#333" '
        f'font-size="12" paint-order="stroke" stroke="#fff" stroke-width="4">{escape(words)}</text>'
        if words
        else ""
    )
    line = f'<path d="M{x1} {y1} {x2} {y2}" stroke="#333" fill="none" marker-end="url(#tip)"/>'
    return line + said


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    for name, diagram in DIAGRAMS.items():
        (IMAGES / f"{name}.svg").write_text(svg(diagram), "utf-8")
