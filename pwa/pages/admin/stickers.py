"""Sheets of stickers for poles, trees and trash cans: scanned, they open the report with kind and place."""

from collections.abc import Sequence

from flask import Blueprint, Response, request, url_for
from markupsafe import Markup

from city.db.models import Asset
from city.places import nearby_assets
from pwa.web import access, forms, qr_code
from pwa.web.fragments import render

bp = Blueprint("stickers", __name__, url_prefix="/admin/stickers")

MOST = 240  # on one sheet to print: ten pages


@bp.get("")
def page() -> Response:
    """Asks for a kind and a street, or numbers; shows their stickers, as many as MOST."""
    kind, street = forms.text(request.args, "kind"), " ".join(forms.text(request.args, "street").split())
    with access.reading() as s:
        kinds = nearby_assets.kinds(s)
        found = nearby_assets.on_street(s, kind, street[:80], limit=MOST + 1) if kind in kinds else []
        return render(
            "admin/stickers.html", kinds=kinds, kind=kind, street=street, rows=rows(found[:MOST]),
            more=len(found) > MOST, most=MOST,
        )  # fmt: skip


def rows(found: Sequence[Asset]) -> list[tuple[Asset, Markup]]:
    """Each thing with the code that opens the report at it, in the language of the request."""
    return [(asset, qr_code.drawn(_link(asset))) for asset in found]


def _link(asset: Asset) -> str:
    to = url_for("resident.at_asset", kind=asset.kind, number=asset.number)
    return access.current_city().settings.base_url + to
