"""How a city looks: two colours that can be read, and a logo that is a drawing and nothing more. Pure."""

import re
from dataclasses import dataclass
from xml.etree import ElementTree

# The grounds of our own pages (pwa/static/css/tokens.css), on which a city's colours must be readable.
DAY_GROUNDS = ("#ffffff", "#f4f3ee")
NIGHT_GROUND = "#191f28"
INK = "#1a1d21"
TINT = 0.88  # of white, in the ground of what is chosen
READABLE = 4.5  # WCAG 2.2, 1.4.3
AT_NIGHT = 7.0  # links on a dark page, as our own blue has it
MAX_LOGO = 64_000  # bytes

PRIMARY, ACCENT = "#0e4a86", "#ffb81c"

_SVG = "{http://www.w3.org/2000/svg}"
_SHAPES = ("path", "circle", "ellipse", "rect", "line", "polyline", "polygon", "text", "tspan", "use")
_AROUND = ("svg", "g", "title", "desc", "defs", "symbol", "clipPath", "mask", "style")
_DRAWN = frozenset((*_SHAPES, *_AROUND, "linearGradient", "radialGradient", "stop"))
_COLOUR = re.compile(r"#[0-9a-f]{6}")


@dataclass(frozen=True)
class Look:
    """`primary` for links and buttons, `accent` for "you are here", `logo` as SVG or empty for our mark."""

    primary: str = PRIMARY
    accent: str = ACCENT
    logo: str = ""


def is_colour(value: str) -> bool:
    """Whether this is a colour as a city file writes it: #0e4a86."""
    return _COLOUR.fullmatch(value) is not None


def contrast(a: str, b: str) -> float:
    """From 1 (the same) to 21 (black on white), as WCAG 2 defines it."""
    light, dark = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def mixed(colour: str, other: str, share: float) -> str:
    """`colour` with a `share` (0 to 1) of `other`."""
    return "#" + "".join(
        f"{round(a * (1 - share) + b * share):02x}" for a, b in zip(_rgb(colour), _rgb(other), strict=True)
    )


def at_night(colour: str) -> str:
    """The colour, made lighter until words in it can be read on a dark page."""
    steps = (mixed(colour, "#ffffff", n / 20) for n in range(21))
    return next(step for step in steps if contrast(step, NIGHT_GROUND) >= AT_NIGHT)


def fault_of_primary(colour: str) -> str | None:
    """Why words in this colour cannot be read by day, or None."""
    grounds = (*DAY_GROUNDS, mixed(colour, "#ffffff", TINT)) if is_colour(colour) else ()
    return _unreadable(colour, grounds, "light pages")


def fault_of_accent(colour: str) -> str | None:
    """Why dark words on this colour, or its mark on a dark page, cannot be read; or None."""
    return _unreadable(colour, (INK, NIGHT_GROUND), "dark ink")


def fault_of_logo(svg: str) -> str | None:
    """What makes this more than a drawing, or None: scripts, handlers, anything from elsewhere.

    Refused rather than cleaned, so that the city serves the very file that somebody looked at.
    """
    if len(svg.encode()) > MAX_LOGO:
        return f"is larger than {MAX_LOGO // 1000} kB"
    # Before it is parsed: entities could make it grow, a stylesheet could come from elsewhere.
    if re.search(r"<!DOCTYPE|<!ENTITY|<\?(?!xml\s)", svg, re.IGNORECASE):
        return "has a DOCTYPE, an entity, or an instruction"
    try:
        root = ElementTree.fromstring(svg)  # noqa: S314 no entities are left in it
    except ElementTree.ParseError as error:
        return f"isn't an SVG ({error})"
    if root.tag != f"{_SVG}svg":
        return "isn't an SVG"
    # A copy of something that holds copies may be drawn billions of times.
    copied = {value.removeprefix("#") for used in root.iter(f"{_SVG}use") for value in used.attrib.values()}
    if any(
        element.get("id") in copied and element.find(f".//{_SVG}use") is not None for element in root.iter()
    ):
        return "has a <use> inside a <use>"
    return next((fault for element in root.iter() if (fault := _fault_of_element(element))), None)


def _unreadable(colour: str, grounds: tuple[str, ...], name: str) -> str | None:
    if not is_colour(colour):
        return f"{colour!r} isn't a color with six lowercase hexadecimal digits"
    worst = min(contrast(colour, ground) for ground in grounds)
    if worst >= READABLE:
        return None
    return f"{colour} has a contrast of {int(worst * 10) / 10} against {name}, and needs {READABLE}"


def _luminance(colour: str) -> float:
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (n / 255 for n in _rgb(colour))
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _fault_of_element(element: ElementTree.Element) -> str | None:
    tag = element.tag.removeprefix(_SVG)
    if tag not in _DRAWN:
        return f"has <{tag.rpartition('}')[2]}>, which isn't part of a drawing"
    if tag == "style" and _reaches_out("".join(element.itertext())):
        return "has a style that points outside the file"
    for name, value in element.attrib.items():
        bare = name.rpartition("}")[2].lower()
        if bare.startswith("on"):
            return f"has a handler, {bare}"
        if (bare == "href" and not value.startswith("#")) or _reaches_out(value):
            return f"points to something outside the file, {bare}"
    return None


def _reaches_out(value: str) -> bool:
    """Whether words of style or an attribute name an address; a backslash could hide one."""
    away = re.sub(r"url\(\s*(['\"]?)#[\w.-]+\1\s*\)", "", value)
    return (
        re.search(r"url\(|image-set|src\(|@import|expression|javascript:|\\", away, re.IGNORECASE) is not None
    )
