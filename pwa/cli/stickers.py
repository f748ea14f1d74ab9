"""The command `stickers`: sheets of QR codes for poles, trees or trash cans, as a file to print."""

from pathlib import Path

import click
from flask import Flask, render_template
from markupsafe import Markup

from city import files
from city.config import versions as config_versions
from city.db import engine as db
from city.places import nearby_assets
from city.settings import read


@click.command("stickers")
@click.argument("kind")
@click.option("--street", default="", help="Only those on this street, or with a number that begins so.")
@click.option("--lang", help="Language of the sheet. Default: the city's main language.")
@click.option(
    "-o", "--output", "file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
    help="HTML file to write. Default: standard output.",
)  # fmt: skip
def stickers(kind: str, street: str, lang: str | None, file: Path | None) -> None:
    """Make a sheet of QR stickers for poles, trees, or trash cans.

    KIND is pole, tree, or basket. Open the file in a browser and print it. Whoever scans a sticker can
    report a problem there without typing the place.
    """
    from pwa.app import create_app

    settings = read()
    engine = db.connect(settings.database_url)
    click.get_current_context().call_on_close(engine.dispose)
    with db.read_session(engine) as s:
        city, kinds = config_versions.active(s, settings.city), nearby_assets.kinds(s)
    if kind not in kinds:
        known = ", ".join(kinds) or "none: import poles, trees, or trash cans first"
        raise click.BadParameter(f"there's no {kind!r}. Kinds in this city: {known}.", param_hint="KIND")
    if lang and lang not in city.languages:
        raise click.BadParameter(f"must be one of {', '.join(city.languages)}.", param_hint="--lang")
    app = create_app(settings)
    try:
        page, count = drawn(app, kind, street, lang or city.languages[0])
    finally:
        app.extensions["cityline"].engine.dispose()
    if not count:
        raise click.ClickException("Nothing with that street or number.")
    click.echo(f"The codes lead to {settings.base_url}. CITYLINE_BASE_URL sets that address.", err=True)
    if file is None:
        click.echo(page)
        return
    try:
        with files.atomic_write(file) as out:
            out.write(page.encode())
    except OSError as fault:
        raise click.ClickException(f"Can't write {file}: {fault.strerror}") from fault
    click.echo(f"Stickers written to {file}: {count}.")


def drawn(app: Flask, kind: str, street: str, lang: str) -> tuple[str, int]:
    """The sheet as a page that needs nothing else, in a language of the city; how many stickers it has."""
    from pwa.pages.admin import stickers as sheets
    from pwa.web import pwa_shell

    held = app.extensions["cityline"]
    prefix = "" if lang == held.city.languages[0] else f"/{lang}"
    told = {"cityline.lang": lang, "SCRIPT_NAME": prefix}
    with app.test_request_context(environ_overrides=told), db.read_session(held.engine) as s:
        rows = sheets.rows(nearby_assets.on_street(s, kind, " ".join(street.split())))
        style = Markup((pwa_shell.STATIC / "css/components/stickers.css").read_text())  # noqa: S704 our own file, not a visitor's
        return render_template("admin/sticker_sheet.html", rows=rows, style=style), len(rows)
