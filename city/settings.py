"""Every setting of Cityline, read once from the environment. A wrong value stops the start."""

import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parseaddr
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

DEFAULT_CITY = Path(__file__).parent / "config" / "larkhaven.toml"
ADDRESS = "address"  # in the var folder: where the city was last started, for commands in another shell
READS_A_MINUTE = 600  # of each public page by one network
# Threads of the web server; PostgreSQL itself allows 100 connections.
LEAST_THREADS, THREADS, MOST_THREADS = 8, 64, 72
PUBLISH = ("staff", "on_accept", "at_once")  # when strangers see words and photos

GEOCODERS = ("nominatim", "photon", "pelias")  # that may be asked besides the city's own layers

TEXT_GATEWAYS = ("json", "twilio", "whatsapp")  # whose webhooks bring texts: city/inbox/texts.py
LEAST_SECRET = 16  # letters of what such a webhook is signed with

OUTWARD = ("public", "loopback")  # which machines news may go to where others name the address

COUNTS = ("done", "recorded")  # what becomes of a crew's closing when the city has moved on


class WrongSetting(Exception):
    """A setting that cannot be used: names the variable, the fault and an example."""

    def __init__(self, name: str, fault: str, example: str) -> None:
        super().__init__(f"CITYLINE_{name}: {fault}. Example: CITYLINE_{name}={example}")


@dataclass(frozen=True)
class Settings:
    """What the environment says. Paths are absolute; `docs/reference/settings.md` explains each field."""

    var: Path
    database_url: str
    database_owner_url: str
    photo_store: str
    secret_key: str
    base_url: str
    city: Path
    geocoder: str
    tiles: str
    translations: str  # folder of more languages; empty: none
    smtp_url: str
    mail_from: str
    mail_in: str  # how mail comes in: an address to listen at, or a mailbox to look into; empty: none does
    mail_address: str  # that residents write to, and behind whose "+" answers are signed
    texts_in: tuple[str, ...]  # adapters of city/inbox/texts.py with their secrets, as "twilio:SECRET"
    vapid_key: str
    vapid_subject: str
    sms_url: str  # empty: no texts
    sms_body: str
    outward: str
    push_services: tuple[str, ...]  # host names beside those of the well-known browsers; "*.x" is all below x
    publish: str  # empty: as the city file says
    trusted_proxies: int
    threads: int  # requests answered at once
    demo_codes: bool
    reports_an_hour: int
    reads_a_minute: int
    crew_days: int
    crew_reassigned: str
    crew_cancelled: str
    phone_reports_an_hour: int
    all_phone_reports_an_hour: int
    postgres_bin: str  # folder of pg_dump and pg_restore; empty: those on PATH

    @property
    def owner_url(self) -> str:
        """The database as whoever owns its tables opens it."""
        return self.database_owner_url or self.database_url

    @property
    def is_https(self) -> bool:
        """Whether residents reach the city over TLS."""
        return self.base_url.startswith("https")

    @property
    def is_nameless(self) -> bool:
        """Whether the city is reached at an IP address, as a demo in a private network is.

        Browsers hold no address to TLS for good (RFC 6797, 8.1.1), and the demo's `localhost` must not be.
        """
        try:
            ip_address(urlsplit(self.base_url).hostname or "")
        except ValueError:
            return False
        return True

    @property
    def basemap(self) -> Path:
        """The city's own map, one file of vector tiles."""
        return self.var / "basemap.pmtiles"


def read(environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings from `environ`; raises WrongSetting. Makes the var folder and the secret on first use."""

    def text(name: str, default: str = "") -> str:
        return environ.get(f"CITYLINE_{name}", "").strip() or default

    var = Path(text("VAR", "var")).absolute()
    var.mkdir(parents=True, exist_ok=True)
    return Settings(
        var=var,
        database_url=_database(text("DATABASE_URL", f"sqlite:///{var / 'cityline.db'}"), "DATABASE_URL"),
        database_owner_url=_database(text("DATABASE_OWNER_URL"), "DATABASE_OWNER_URL"),
        photo_store=_photo_store(text("PHOTO_STORE", f"file:{var / 'photos'}")),
        secret_key=_secret(text("SECRET_KEY"), var),
        base_url=_base_url(text("BASE_URL", _last_address(var))),
        city=_file(text("CITY", str(DEFAULT_CITY)), "CITY", "/etc/cityline/city.toml"),
        geocoder=_geocoder(text("GEOCODER", "local")),
        tiles=_tiles(text("TILES")),
        translations=_languages(text("TRANSLATIONS")),
        smtp_url=_prefixed(
            text("SMTP_URL", f"file:{var / 'mail'}"),
            "SMTP_URL",
            ("file:", "smtp://", "smtps://"),
            "smtp://user:word@mail.example:587",
        ),
        mail_from=text("MAIL_FROM", "Cityline <cityline@localhost>"),
        mail_in=_mail_in(text("MAIL_IN"), text("MAIL_ADDRESS")),
        mail_address=_mail_address(text("MAIL_ADDRESS")),
        texts_in=_texts_in(text("TEXTS_IN")),
        vapid_key=_vapid_key(text("VAPID_KEY")),
        vapid_subject=_prefixed(
            text("VAPID_SUBJECT", _own_subject(text("MAIL_FROM"))),
            "VAPID_SUBJECT",
            ("mailto:", "https://"),
            "mailto:311@example.gov",
        ),
        sms_url=_sms_url(text("SMS_URL"), text("SMS_BODY")),
        sms_body=text("SMS_BODY"),
        outward=_one_of(text("OUTWARD", OUTWARD[0]), "OUTWARD", OUTWARD),
        push_services=_hosts(text("PUSH_SERVICES"), "PUSH_SERVICES"),
        publish=_one_of(text("PUBLISH", PUBLISH[0]), "PUBLISH", PUBLISH) if text("PUBLISH") else "",
        trusted_proxies=_number(text("TRUSTED_PROXIES", "0"), "TRUSTED_PROXIES", 0, 9),
        threads=_number(text("THREADS", str(THREADS)), "THREADS", LEAST_THREADS, MOST_THREADS),
        demo_codes=_one_of(text("DEMO_CODES", "auto"), "DEMO_CODES", ("auto", "off")) == "auto",
        reports_an_hour=_number(text("REPORTS_AN_HOUR", "60"), "REPORTS_AN_HOUR", 0, 100_000),
        reads_a_minute=_number(text("READS_A_MINUTE", str(READS_A_MINUTE)), "READS_A_MINUTE", 0, 1_000_000),
        crew_days=_number(text("CREW_DAYS", "30"), "CREW_DAYS", 1, 90),
        crew_reassigned=_one_of(text("CREW_REASSIGNED", COUNTS[0]), "CREW_REASSIGNED", COUNTS),
        crew_cancelled=_one_of(text("CREW_CANCELLED", COUNTS[1]), "CREW_CANCELLED", COUNTS),
        phone_reports_an_hour=_number(
            text("PHONE_REPORTS_AN_HOUR", "10"), "PHONE_REPORTS_AN_HOUR", 0, 100_000
        ),
        all_phone_reports_an_hour=_number(
            text("ALL_PHONE_REPORTS_AN_HOUR", "5000"), "ALL_PHONE_REPORTS_AN_HOUR", 0, 10_000_000
        ),
        postgres_bin=_programs(text("POSTGRES_BIN")),
    )


def _database(url: str, name: str) -> str:
    if not url.startswith(("sqlite:///", "postgresql+psycopg://")) and (url or name == "DATABASE_URL"):
        raise WrongSetting(
            name, f"{url!r} isn't SQLite or PostgreSQL", "postgresql+psycopg://app:word@host/city"
        )
    return url


def _photo_store(url: str) -> str:
    if url.startswith("file:/") or (url.startswith("s3://") and urlsplit(url).netloc):
        return url
    raise WrongSetting(
        "PHOTO_STORE", f"{url!r} isn't a folder or a bucket", "s3://photos?endpoint=https://s3.example"
    )


def _secret(given: str, var: Path) -> str:
    if given:
        if len(given) < 32:
            raise WrongSetting("SECRET_KEY", "must have at least 32 characters", secrets.token_hex(16) + "…")
        return given
    kept = var / "secret_key"
    if not kept.exists():
        _choose(kept)
    chosen = kept.read_text().strip()
    if not chosen:
        raise WrongSetting(
            "SECRET_KEY", f"{kept} is empty; remove it, or restore it", secrets.token_hex(16) + "…"
        )
    return chosen


def _choose(kept: Path) -> None:
    """Whole or not at all: half a secret would sign everything, and a disk may be full."""
    part = kept.with_name(f"{kept.name}.{secrets.token_hex(8)}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
            file.flush()
            os.fsync(file.fileno())
        # Web server and worker may start in the same moment, and only one may choose.
        with suppress(FileExistsError):
            os.link(part, kept)
    finally:
        part.unlink(missing_ok=True)


def _vapid_key(given: str) -> str:
    if given and not re.fullmatch(r"[A-Za-z0-9_-]{43}=?", given):
        raise WrongSetting(
            "VAPID_KEY", "isn't the 32 bytes of a P-256 key in base64url", "43 letters, digits, -, and _"
        )
    return given


def _sms_url(url: str, body: str) -> str:
    example = "https://gateway.example/send?to={to}&text={text}"
    if url and not (urlsplit(url).scheme in ("http", "https") and urlsplit(url).netloc):
        raise WrongSetting("SMS_URL", f"{url!r} isn't a web address", example)
    if url and not all(gap in url + body for gap in ("{to}", "{text}")):
        raise WrongSetting("SMS_URL", "neither it nor CITYLINE_SMS_BODY has {to} and {text}", example)
    return url


def _mail_in(url: str, address: str) -> str:
    example = "lmtp://127.0.0.1:2424"
    if not url:
        return ""
    parts = urlsplit(_prefixed(url, "MAIL_IN", ("smtp://", "lmtp://", "imap://", "imaps://"), example))
    if not parts.hostname or (parts.scheme in ("smtp", "lmtp") and not parts.port):
        raise WrongSetting("MAIL_IN", f"{url!r} has no host, or no port to listen at", example)
    if not address:
        raise WrongSetting("MAIL_ADDRESS", "is missing: mail comes in to an address", "311@example.gov")
    return url


def _mail_address(address: str) -> str:
    if address and not re.fullmatch(r"[A-Za-z0-9._-]{1,24}@[A-Za-z0-9.-]{1,200}", address):
        fault = f"{address!r} isn't a mail address of at most 24 letters before the @, without a +"
        raise WrongSetting("MAIL_ADDRESS", fault, "311@example.gov")
    return address


def _texts_in(value: str) -> tuple[str, ...]:
    given = tuple(value.split())
    for each in given:
        kind, _colon, secret = each.partition(":")
        if kind not in TEXT_GATEWAYS or len(secret) < LEAST_SECRET:
            fault = f"isn't one of {', '.join(TEXT_GATEWAYS)} with a colon and {LEAST_SECRET} letters or more"
            raise WrongSetting("TEXTS_IN", fault, "twilio:" + "0123456789abcdef" * 2)
    return given


def _hosts(names: str, name: str) -> tuple[str, ...]:
    hosts = tuple(names.lower().replace(",", " ").split())
    for host in hosts:
        if not re.fullmatch(r"(\*\.)?([a-z0-9-]{1,63}\.)+[a-z][a-z0-9-]{0,62}", host):
            raise WrongSetting(name, f"{host!r} isn't the name of a host", "push.example.org *.example.net")
    return hosts


def _own_subject(mail_from: str) -> str:
    return f"mailto:{parseaddr(mail_from)[1] or 'cityline@localhost'}"


def _base_url(url: str) -> str:
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
        raise WrongSetting("BASE_URL", f"{url!r} isn't a web address", "https://311.example.gov")
    return url.rstrip("/")


def _last_address(var: Path) -> str:
    kept = var / ADDRESS
    return (kept.read_text().strip() if kept.exists() else "") or "http://127.0.0.1:8311"


def _file(path: str, name: str, example: str) -> Path:
    if not Path(path).is_file():
        raise WrongSetting(name, f"can't find the file {path!r}", example)
    return Path(path).absolute()


def _languages(folder: str) -> str:
    if folder and not any(Path(folder).glob("*/LC_MESSAGES/*.mo")):
        fault = f"there's no LANGUAGE/LC_MESSAGES/messages.mo in {folder!r}"
        raise WrongSetting("TRANSLATIONS", fault, "/etc/cityline/translations")
    return str(Path(folder).absolute()) if folder else ""


def _programs(folder: str) -> str:
    if folder and not os.access(Path(folder) / "pg_dump", os.X_OK):
        raise WrongSetting("POSTGRES_BIN", f"there's no pg_dump in {folder!r}", "/usr/lib/postgresql/18/bin")
    return folder


def _geocoder(value: str) -> str:
    kind, _, url = value.partition(":")
    example = "nominatim:https://geo.example"
    if value != "local" and kind not in GEOCODERS:
        raise WrongSetting("GEOCODER", f"{value!r} isn't one of local, {', '.join(GEOCODERS)}", example)
    if value != "local" and not (urlsplit(url).scheme in ("http", "https") and urlsplit(url).netloc):
        raise WrongSetting("GEOCODER", f"{url!r} isn't a web address", example)
    return value


def _tiles(url: str) -> str:
    if url and not all(part in url for part in ("{z}", "{x}", "{y}")):
        raise WrongSetting(
            "TILES", f"{url!r} lacks {{z}}, {{x}}, or {{y}}", "https://tiles.example/{z}/{x}/{y}.png"
        )
    return url


def _prefixed(value: str, name: str, prefixes: tuple[str, ...], example: str) -> str:
    if not value.startswith(prefixes):
        raise WrongSetting(name, f"{value!r} doesn't start with one of {', '.join(prefixes)}", example)
    return value


def _one_of(value: str, name: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise WrongSetting(name, f"{value!r} isn't one of {', '.join(choices)}", choices[0])
    return value


def _number(value: str, name: str, low: int, high: int) -> int:
    if not value.isdecimal() or not low <= int(value) <= high:
        raise WrongSetting(name, f"{value!r} isn't a whole number from {low} to {high}", str(low))
    return int(value)
