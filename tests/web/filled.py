"""The report form as a browser fills it in: a fix by the lamp, one far from it, and the key of one form."""

from collections.abc import Callable

from werkzeug.test import TestResponse

KEY = "0123456789abcdef0123456789abcdef"
HERE = {"lat": "39.60001", "lon": "-71.2", "accuracy": "12"}
FAR = {"lat": "39.61", "lon": "-71.2", "accuracy": "12"}

Fill = Callable[..., TestResponse]
