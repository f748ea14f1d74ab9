"""The commands `cityline webhook …`: which other systems hear of every public change."""

from datetime import UTC, datetime

import click
from sqlalchemy import Engine, select

from city import db, people, webhooks
from city.schema import Webhook
from city.settings import OUTWARD, Settings, read


@click.group()
def webhook() -> None:
    """Other systems that hear of what happens."""


@webhook.command("add")
@click.argument("url")
@click.option("--secret", default="", help="whsec_ and 24 to 64 bytes in base64; without it one is made.")
def add(url: str, secret: str) -> None:
    """Tells URL of every public change from now on, and prints the secret that signs it."""
    settings, engine = _opened()
    with db.transaction(engine) as s:
        row = webhooks.add(
            s,
            url,
            secret,
            loopback=settings.outward == OUTWARD[1],
            by=people.THE_SYSTEM,
            at=datetime.now(UTC),
        )
        s.flush()
        click.echo(f"{row.id} {row.url}\nsecret: {row.secret}")


@webhook.command("list")
def listed() -> None:
    """Lists them: number, address, up to which line of the log they heard, what is wrong."""
    _settings, engine = _opened()
    with db.reading(engine) as s:
        for row in s.scalars(select(Webhook).order_by(Webhook.id)):
            state = "given up" if row.dead_at else "failing" if row.fault else "well"
            click.echo(f"{row.id} {row.url} up to {row.seq}, {state}{f': {row.fault}' if row.fault else ''}")


@webhook.command("remove")
@click.argument("number", type=int)
def remove(number: int) -> None:
    """Tells it nothing more."""
    _settings, engine = _opened()
    with db.transaction(engine) as s:
        row = s.get(Webhook, number)
        if row is None:
            raise click.ClickException(f"There is no webhook {number}. `cityline webhook list` has them all.")
        webhooks.remove(s, row, by=people.THE_SYSTEM, at=datetime.now(UTC))


def _opened() -> tuple[Settings, Engine]:
    settings = read()
    engine = db.connect(settings.database_url)
    click.get_current_context().call_on_close(engine.dispose)
    return settings, engine
