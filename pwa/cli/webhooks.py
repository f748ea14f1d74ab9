"""The commands `cityline webhook …`: which other systems hear of every public change."""

from datetime import UTC, datetime

import click
from sqlalchemy import Engine, select

from city.db import engine as db
from city.db.models import Webhook
from city.notifications import webhooks
from city.people import accounts
from city.settings import OUTWARD, Settings, read


@click.group()
def webhook() -> None:
    """Manage webhooks: other systems that get every public update."""


@webhook.command("add")
@click.argument("url")
@click.option(
    "--secret", default="", help="whsec_ followed by 24 to 64 bytes in base64. Leave out to create one."
)
def add(url: str, secret: str) -> None:
    """Send every public update to URL from now on, and print the signing secret."""
    settings, engine = _opened()
    with db.transaction(engine) as s:
        row = webhooks.add(
            s,
            url,
            secret,
            loopback=settings.outward == OUTWARD[1],
            by=accounts.THE_SYSTEM,
            at=datetime.now(UTC),
        )
        s.flush()
        click.echo(f"{row.id} {row.url}\nsecret: {row.secret}")


@webhook.command("list")
def listed() -> None:
    """List webhooks: number, address, last log line sent, and any problem."""
    _settings, engine = _opened()
    with db.read_session(engine) as s:
        for row in s.scalars(select(Webhook).order_by(Webhook.id)):
            state = "stopped" if row.dead_at else "failing" if row.fault else "ok"
            click.echo(f"{row.id} {row.url} up to {row.seq}, {state}{f': {row.fault}' if row.fault else ''}")


@webhook.command("remove")
@click.argument("number", type=int)
def remove(number: int) -> None:
    """Stop sending to this webhook."""
    _settings, engine = _opened()
    with db.transaction(engine) as s:
        row = s.get(Webhook, number)
        if row is None:
            raise click.ClickException(f"There's no webhook {number}. See `cityline webhook list`.")
        webhooks.remove(s, row, by=accounts.THE_SYSTEM, at=datetime.now(UTC))


def _opened() -> tuple[Settings, Engine]:
    settings = read()
    engine = db.connect(settings.database_url)
    click.get_current_context().call_on_close(engine.dispose)
    return settings, engine
