"""Shows a demo to phones in the same network: its address over https, and how they come to trust it.

A phone cannot open an https page of ours before it trusts our authority, so one page is served without TLS.
"""

import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address
from pathlib import Path

import click
import segno
from babel import Locale
from flask import Flask, Response, render_template, request, send_from_directory
from flask_babel import Babel, gettext
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from pwa.cli import local_authority
from pwa.cli.local_authority import Authority, Served
from pwa.web.pwa_shell import FONT, STATIC

EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 whoever asks for --https wants to be reached
SHEETS = ("reset", "tokens", "base", "components/button", "screens/nearby")
PATIENCE = 10  # seconds for a phone that says nothing


@dataclass(frozen=True)
class Nearby:
    """Where a demo is served to other devices, and with what."""

    host: str  # what the servers listen at
    address: IPv4Address  # where phones find them
    port: int
    authority: Authority
    served: Served

    @property
    def https(self) -> str:
        """The city's address."""
        return f"https://{self.address}:{self.port}"

    @property
    def trust_port(self) -> int:
        """Where the page without TLS is."""
        return self.port + 1

    @property
    def trust_page(self) -> str:
        """The address of the page that says how to trust the authority."""
        return f"http://{self.address}:{self.trust_port}"


def prepare(folder: Path, host: str, port: int, now: datetime) -> Nearby:
    """Authority and certificate in `folder`. Raises ClickException where no phone could reach it."""
    if host == EVERY_ADDRESS:
        found = local_authority.lan_addresses()
    else:
        found = [address for address in (_parsed(host),) if local_authority.is_private(address)]
    if not found:
        raise click.ClickException(
            "--https needs an address in a private network, such as 192.168.1.20. Connect this machine to "
            "the phone's Wi-Fi, or name its address: --host ADDRESS."
        )
    try:
        authority = local_authority.authority(folder, now)
    except local_authority.BrokenAuthority as fault:
        raise click.ClickException(
            f"The certificate authority in {folder} is damaged. Remove that folder and start again. Phones "
            "then need the new certificate."
        ) from fault
    served = local_authority.certificate_for(
        folder, authority, local_authority.host_names(), [*found, local_authority.LOOPBACK], now
    )
    return Nearby(host, found[0], port, authority, served)


def serve_trust_page(nearby: Nearby, city: str, languages: Sequence[str]) -> BaseWSGIServer:
    """Starts the page without TLS in a thread of its own."""
    server = make_server(
        nearby.host,
        nearby.trust_port,
        trust_app(nearby, city, languages),
        threaded=True,
        request_handler=_Quiet,
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def trust_app(nearby: Nearby, city: str, languages: Sequence[str]) -> Flask:
    """One page and one file: how to trust the authority, and its certificate. The key is nowhere near."""
    app = Flask("pwa", static_folder=None)
    style = "\n".join((STATIC / "css" / f"{name}.css").read_text() for name in SHEETS)

    def language() -> str:
        asked = request.args.get("lang", "")
        return asked if asked in languages else request.accept_languages.best_match(languages, languages[0])

    Babel(app, locale_selector=language)
    app.jinja_env.globals["_"] = gettext

    @app.get("/")
    def page() -> Response:
        words = request.user_agent.string
        is_iphone = "iPhone" in words or "iPad" in words
        text = render_template(
            "nearby/trust.html", city=city, https=nearby.https, authority=nearby.authority.name, style=style,
            lang=language(), others=_others(languages, language()), is_iphone=is_iphone,
        )  # fmt: skip
        response = Response(text, mimetype="text/html")
        response.headers["Content-Security-Policy"] = (
            "default-src 'none'; style-src 'unsafe-inline'; font-src 'self'"
        )
        response.headers["Cache-Control"] = "no-store"
        return response

    @app.get(f"/{FONT}")
    def font() -> Response:
        return send_from_directory(STATIC, FONT)

    @app.get("/cityline.crt")
    def certificate() -> Response:
        response = Response(nearby.authority.der, mimetype="application/x-x509-ca-cert")
        response.headers["Content-Disposition"] = 'attachment; filename="cityline.crt"'
        response.headers["Cache-Control"] = "no-store"
        return response

    return app


def announce(nearby: Nearby) -> None:
    """Tells the terminal where phones go, with a code to scan."""
    click.echo(f"On a phone in the same network, scan this or open {nearby.trust_page}\n")
    segno.make(nearby.trust_page, error="m", micro=False).terminal(out=sys.stdout, border=2, compact=True)
    click.echo(
        f'\nIt shows how to trust "{nearby.authority.name}" on Android and iPhone, and opens the app.\n'
        f"SHA-256 of its certificate: {nearby.authority.fingerprint}\n"
        "Anyone in this network can open the page. In the demo, anyone can log in.\n"
        f"If the phone can't connect, allow ports {nearby.port} and {nearby.trust_port} in this machine's "
        "firewall.\n"
    )


class _Quiet(WSGIRequestHandler):
    """Says nothing of each request, and lets go of a phone that says nothing."""

    timeout = PATIENCE

    def log(self, type: str, message: str, *args: object) -> None:
        pass


def _others(languages: Sequence[str], lang: str) -> list[tuple[str, str]]:
    """Code and own name of each language but `lang`."""
    names = ((code, Locale.parse(code).display_name or code) for code in languages if code != lang)
    return [(code, name.capitalize()) for code, name in names]


def _parsed(host: str) -> IPv4Address:
    try:
        return IPv4Address("127.0.0.1" if host == "localhost" else host)
    except ValueError as fault:
        raise click.BadParameter(
            f"{host!r} isn't an address such as 192.168.1.20, which --https needs", param_hint="--host"
        ) from fault
