"""The report form as a browser fills it in: a fix by the lamp, one far from it, and the key of one form."""

import html
import re
from collections.abc import Callable

from werkzeug.test import TestResponse

KEY = "0123456789abcdef0123456789abcdef"
HERE = {"lat": "39.60001", "lon": "-71.2", "accuracy": "12"}
FAR = {"lat": "39.61", "lon": "-71.2", "accuracy": "12"}

Fill = Callable[..., TestResponse]
Tell = Callable[..., int]  # a round of the worker: how many messages went out


def picks(page: str) -> list[str]:
    """What the places are called by that the page offers to choose from, in its order."""
    return [html.unescape(value) for value in re.findall('name="pick" value="([^"]*)"', page)]
