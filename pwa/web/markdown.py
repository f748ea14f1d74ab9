"""An answer's Markdown as HTML that may stand in a page. Its writers are trusted with words only."""

import re
from functools import lru_cache
from typing import Final

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup

TAGS: Final = {
    "a", "blockquote", "br", "code", "em", "h2", "h3", "h4", "hr", "li", "ol", "p", "pre", "s", "strong",
    "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
ATTRIBUTES: Final = {"a": {"href"}, "ol": {"start"}}
SCHEMES: Final = {"https", "http", "mailto", "tel"}

# HTML within it reads as it was typed; what the library lets through all the same, nh3 does not.
_MARKDOWN: Final = (
    MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("image")
)
_HOST: Final = re.compile(r"[\x00-\x20]*[/\\][\t\r\n]*[/\\]")


@lru_cache(maxsize=500)
def html(body: str) -> Markup:
    """The article below a page's own heading: its first level of headings is the page's second."""
    tokens = _MARKDOWN.parse(body)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1:]) + 1, 4)}"
    drawn = _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})
    clean = nh3.clean(
        drawn, tags=TAGS, attributes=ATTRIBUTES, url_schemes=SCHEMES, link_rel="noopener noreferrer nofollow",
        attribute_filter=_without_hidden_hosts,
    )  # fmt: skip
    return Markup(clean)  # noqa: S704 nh3 has cleaned it


def _without_hidden_hosts(_tag: str, name: str, value: str) -> str | None:
    """Leaves out an address that reads like one of the city's own pages and leads elsewhere: `//host`.

    Browsers take a backslash for a slash, and skip tabs and ends of lines.
    """
    return None if name == "href" and _HOST.match(value) else value
