"""A link as a QR code, for a page that is shown or printed."""

import segno
from markupsafe import Markup


def drawn(link: str) -> Markup:
    """The code as SVG, black on white with the margin of four modules that scanners need."""
    svg = segno.make(link, error="m", micro=False).svg_inline(
        border=4, omitsize=True, dark="#000", light="#fff", svgclass="qr", lineclass=None
    )
    return Markup(svg)  # noqa: S704 drawn by segno from modules alone: no letter of the link stands in it
