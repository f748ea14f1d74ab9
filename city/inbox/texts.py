"""Texts as gateways tell them: one row for each gateway says how it signs and how its body is read. Pure.

A webhook without its signature is nobody's, so nothing of it is read.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

from city.channels import SMS
from city.inbox.entries import CHANNELS
from city.inbox.reception import Text

MOST_BYTES: Final = 200_000  # of a body; a text has a few hundred
MOST_TEXTS: Final = 100  # in one body


class Unreadable(Exception):
    """The body is none of this gateway's."""


class Call(NamedTuple):
    """A webhook as it came. `url` is the address that the gateway called, `heads` have small names."""

    url: str
    heads: Mapping[str, str]
    body: bytes


class Adapter(NamedTuple):
    """A gateway's way. `read` raises Unreadable. `answer` writes what goes back to the sender at once, a body
    with its type; None where the gateway takes no such answer."""

    is_signed: Callable[[Call, str], bool]
    read: Callable[[Call], list[Text]]
    answer: Callable[[str], tuple[str, str]] | None


def _json_signed(call: Call, secret: str) -> bool:
    """`X-Signature: sha256=` and the HMAC of the body in hex, as many systems have it."""
    told = call.heads.get("x-signature", "").removeprefix("sha256=")
    return hmac.compare_digest(told.encode(), _hex(secret, call.body))


def _json_read(call: Call) -> list[Text]:
    """{"id", "from", "text", "media": [address], "kind": "sms" | "form" | "voicemail", "name", "subject"},
    or a list of these."""
    told = _parsed(call.body)
    return [_json_text(each) for each in (told if isinstance(told, list) else [told])[:MOST_TEXTS]]


def _json_text(told: Any) -> Text:
    if not isinstance(told, dict) or not _word(told, "id"):
        raise Unreadable("id")
    channel = _word(told, "kind") or SMS
    if channel not in CHANNELS:
        raise Unreadable("kind")
    media = told.get("media") or []
    if not isinstance(media, list):
        raise Unreadable("media")
    return Text(
        _word(told, "id"), _word(told, "from"), _word(told, "text"), tuple(map(str, media)), channel,
        _word(told, "name"), _word(told, "subject"),
    )  # fmt: skip


def _twilio_signed(call: Call, secret: str) -> bool:
    """HMAC-SHA1 of the address and all fields in their order, in base64 (Twilio, "Validating requests")."""
    told = call.url + "".join(f"{name}{value}" for name, value in sorted(_fields(call.body)))
    made = base64.b64encode(hmac.new(secret.encode(), told.encode(), hashlib.sha1).digest())
    return hmac.compare_digest(call.heads.get("x-twilio-signature", "").encode(), made)


def _twilio_read(call: Call) -> list[Text]:
    fields = dict(_fields(call.body))
    if not fields.get("MessageSid"):
        raise Unreadable("MessageSid")
    many = int(fields["NumMedia"]) if fields.get("NumMedia", "").isdecimal() else 0
    media = (fields.get(f"MediaUrl{n}", "") for n in range(min(many, 10)))
    return [
        Text(fields["MessageSid"], fields.get("From", ""), fields.get("Body", ""), tuple(filter(None, media)))
    ]


def _twilio_answer(words: str) -> tuple[str, str]:
    safe = words.replace("&", "&amp;").replace("<", "&lt;")
    message = f"<Message>{safe}</Message>" if safe else ""
    return f'<?xml version="1.0" encoding="UTF-8"?><Response>{message}</Response>', "text/xml"


def _whatsapp_signed(call: Call, secret: str) -> bool:
    """`X-Hub-Signature-256: sha256=` and the HMAC of the body with the app's secret in hex, as Meta says."""
    told = call.heads.get("x-hub-signature-256", "").removeprefix("sha256=")
    return hmac.compare_digest(told.encode(), _hex(secret, call.body))


def _whatsapp_read(call: Call) -> list[Text]:
    """The messages of a notification; one of statuses has none. Pictures need the app's own log-in, so their
    captions are taken."""
    told = _parsed(call.body)
    found = []
    for entry in _list(told, "entry"):
        for change in _list(entry, "changes"):
            value = change.get("value") if isinstance(change.get("value"), dict) else {}
            names = {
                _word(each, "wa_id"): _word(each.get("profile") or {}, "name")
                for each in _list(value, "contacts")
            }
            for each in _list(value, "messages"):
                kind = _word(each, "type")
                part = each.get(kind) if isinstance(each.get(kind), dict) else {}
                words = _word(part, "body") or _word(part, "text") or _word(part, "caption") or f"[{kind}]"
                sender = _word(each, "from")
                found.append(
                    Text(_word(each, "id"), f"+{sender}" if sender else "", words, name=names.get(sender, ""))
                )
    if not all(each.id for each in found):
        raise Unreadable("id")
    return found[:MOST_TEXTS]


ADAPTERS: Final[Mapping[str, Adapter]] = {
    "json": Adapter(
        _json_signed, _json_read, lambda words: (json.dumps({"reply": words}), "application/json")
    ),
    "twilio": Adapter(_twilio_signed, _twilio_read, _twilio_answer),
    "whatsapp": Adapter(_whatsapp_signed, _whatsapp_read, None),
}


def _fields(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=500)
    except ValueError:
        raise Unreadable("form") from None


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise Unreadable("json") from None


def _list(told: Any, name: str) -> list[dict[str, Any]]:
    found = told.get(name) if isinstance(told, dict) else None
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _word(told: Any, name: str) -> str:
    value = told.get(name) if isinstance(told, dict) else None
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    words = str(value).encode("utf-8", "replace").decode()
    return "".join(letter for letter in words if letter >= " " or letter == "\n")


def _hex(secret: str, body: bytes) -> bytes:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest().encode()
