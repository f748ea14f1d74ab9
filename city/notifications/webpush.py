"""Web push: a note for a browser that may be closed, handed to the push service that the browser named."""

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from py_vapid import Vapid
from pywebpush import WebPushException, webpush

from city import safe_http
from city.lifecycle import Refused
from city.notifications.sender import PermanentFailure, SubscriptionGone
from city.settings import OUTWARD, Settings

# How long a push service keeps a note for a phone that is off. Without it none is kept at all.
TTL: Final = timedelta(days=14)  # as long as a resident may say "not fixed"
DECLARATIVE: Final = 8030  # the mark of a declarative push message (Push API): shown without any script
ENDED, TOO_MUCH, WRONG_KEY = (404, 410), 413, 400
# Of Chrome and most others, of Chromium, Firefox, Edge and Safari; a city may name more. An address at any
# other machine is no browser's, whatever it says.
SERVICES: Final = (
    "fcm.googleapis.com", "jmt17.google.com", "updates.push.services.mozilla.com", "*.notify.windows.com",
    "*.push.apple.com",
)  # fmt: skip
P256 = ec.SECP256R1()
# The order of the group of P-256 (SEC 2): private keys are the numbers below it.
ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass(frozen=True)
class Note:
    """What one browser is to show. A note replaces one of the same topic that was not shown yet."""

    endpoint: str
    keys: dict[str, str]  # p256dh, auth
    topic: str  # up to 32 letters of base64url (RFC 8030, 5.4)
    title: str
    body: str
    link: str  # where a tap leads
    lang: str
    direction: str  # ltr, rtl
    urgent: bool = False
    ttl: timedelta = TTL

    @property
    def text(self) -> str:
        """As a browser reads it that shows notes by itself; our service worker reads the same."""
        shown = {
            "title": self.title, "body": self.body, "navigate": self.link, "lang": self.lang,
            "dir": self.direction, "tag": self.topic,
        }  # fmt: skip
        return json.dumps({"web_push": DECLARATIVE, "notification": shown}, ensure_ascii=False)


class Pusher:
    """Hands notes over to push services. Raises Gone where the browser is not there any more."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._key = settings, _key(settings)
        self._session = safe_http.SafeSession(loopback=settings.outward == OUTWARD[1])

    def send(self, note: Note) -> None:
        if not _is_known(note.endpoint, self._settings):  # the city may have named fewer since
            raise PermanentFailure("no push service that the city knows")
        headers = {"Topic": note.topic, "Urgency": "high" if note.urgent else "normal"}
        try:
            webpush(
                {"endpoint": note.endpoint, "keys": note.keys}, note.text, self._key,
                {"sub": self._settings.vapid_subject}, ttl=int(note.ttl.total_seconds()), headers=headers,
                requests_session=self._session,
            )  # fmt: skip
        except safe_http.PrivateAddressError:
            raise PermanentFailure("the push service isn't public") from None
        except requests.RequestException as fault:
            # Its words hold the endpoint, which nobody but the city is to know.
            raise OSError(f"the push service isn't answering: {type(fault).__name__}") from None
        except WebPushException as fault:
            if fault.status_code in ENDED:
                raise SubscriptionGone(str(fault.status_code)) from fault
            if fault.status_code in (TOO_MUCH, WRONG_KEY):
                raise PermanentFailure(f"the push service answered {fault.status_code}") from None
            raise OSError(f"the push service answered {fault.status_code}") from None


def open_sender(settings: Settings) -> Pusher:
    """The one way to browsers, by whatever push service each has."""
    return Pusher(settings)


def public_key(settings: Settings) -> str:
    """What a browser is told, so that only this city can send to it: base64url."""
    return _base64url(
        _key(settings).public_key.public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
    )


def checked(told: Any, settings: Settings) -> tuple[str, dict[str, str]]:
    """The endpoint and keys of what a browser gave (PushSubscription.toJSON()).

    Raises Refused `bad_push`: what is none, or names a machine that is no push service we know.
    """
    try:
        endpoint, keys = told["endpoint"], {name: str(told["keys"][name]) for name in ("p256dh", "auth")}
        safe_http.validate_url(endpoint, loopback=settings.outward == OUTWARD[1])
        if not _is_known(endpoint, settings):
            raise ValueError(endpoint)
        ec.EllipticCurvePublicKey.from_encoded_point(P256, _bytes(keys["p256dh"]))
        if len(_bytes(keys["auth"])) != 16:
            raise ValueError(keys["auth"])
    except (TypeError, KeyError, ValueError, AttributeError, safe_http.PrivateAddressError) as fault:
        raise Refused("bad_push") from fault
    return endpoint, keys


def topic(told: str) -> str:
    """A topic out of what makes two notes one: the later replaces the earlier."""
    return _base64url(hashlib.sha256(told.encode()).digest())[:32]


def _is_known(endpoint: str, settings: Settings) -> bool:
    """Whether it lies at a push service, as browsers write it: another port may hang, and so the service."""
    host = urlsplit(endpoint).hostname or ""
    if settings.outward == OUTWARD[1] and (host in ("localhost", "::1") or host.startswith("127.")):
        return True
    return endpoint.startswith(f"https://{host}/") and any(
        host.endswith(name[1:]) if name.startswith("*.") else host == name
        for name in (*SERVICES, *settings.push_services)
    )


def _key(settings: Settings) -> Vapid:
    if settings.vapid_key:
        return Vapid.from_raw(settings.vapid_key.encode())
    drawn = HKDF(hashes.SHA256(), 48, None, b"cityline vapid").derive(settings.secret_key.encode())
    return Vapid(ec.derive_private_key(int.from_bytes(drawn) % (ORDER - 1) + 1, P256))


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, UnicodeEncodeError) as fault:
        raise ValueError(text) from fault
