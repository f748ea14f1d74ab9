"""Texts to phones, by whatever gateway the city has: an address and a body with gaps to be filled in."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

import requests

from city.settings import Settings

SECONDS = 20.0  # to connect, and to wait for each part of an answer


@dataclass(frozen=True)
class SmsMessage:
    """One text. `name` is the same at every try: many gateways drop the second of a name."""

    to: str  # E.164
    words: str
    name: str


class SmsGateway:
    """A gateway of the city's own choice, so its address may lie anywhere. "" is none: it takes nothing.

    `url` and `body` are templates with the gaps {to}, {text} and {id}. Without a body the address says all,
    and is asked by POST too. Any answer but 2xx is a fault, and the text is tried again.
    """

    def __init__(self, url: str, body: str) -> None:
        self._url, self._body = url, body

    def send(self, text: SmsMessage) -> None:
        if not self._url:
            raise OSError("the city has no gateway for texts")
        is_json = self._body.lstrip().startswith("{")
        try:
            answer = requests.post(
                _filled(self._url, text, _in_address),
                _filled(self._body, text, _in_json if is_json else _in_address).encode(),
                headers={"Content-Type": _JSON if is_json else _FORM},
                timeout=SECONDS,
                allow_redirects=False,
            )
        except requests.RequestException as fault:
            # Its words hold the whole address: the gateway's key, the number, and what the text says.
            raise OSError(f"the gateway isn't answering: {type(fault).__name__}") from None
        if not 200 <= answer.status_code < 300:
            raise OSError(f"the gateway answered {answer.status_code}: {answer.text[:200]}")


def open_sender(settings: Settings) -> SmsGateway:
    """The gateway of the settings SMS_URL and SMS_BODY."""
    return SmsGateway(settings.sms_url, settings.sms_body)


_JSON, _FORM = "application/json", "application/x-www-form-urlencoded"


def _filled(template: str, text: SmsMessage, written: Callable[[str], str]) -> str:
    """In one pass: what stands in a text is no gap."""
    values = {"to": text.to, "text": text.words, "id": text.name}
    return re.sub(r"\{(to|text|id)\}", lambda gap: written(values[gap[1]]), template)


def _in_address(value: str) -> str:
    return quote(value, safe="")


def _in_json(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)[1:-1]
