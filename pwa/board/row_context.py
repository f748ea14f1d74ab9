"""What the rows of the queue need beside their cases, wherever they are drawn."""

from collections.abc import Sequence
from typing import Any

from flask import g
from sqlalchemy.orm import Session

from city.board import area_selection
from city.board import queries as board_queries
from city.board.queries import View
from city.board.rows import Row
from city.cases import batches, transitions, usual_crews
from city.db.models import Crew, Service
from city.lifecycle import OPEN
from pwa.board.view_url import args_of
from pwa.web import access


def of_rows(
    s: Session,
    view: View,
    rows: Sequence[Row],
    services: Sequence[Service] | None = None,
    crews: Sequence[Crew] | None = None,
) -> dict[str, Any]:
    """The context of dispatch/_row.html; whoever has read the city's services and crews gives them."""
    city = access.current_city().city
    services = board_queries.services(s) if services is None else services
    crews = board_queries.crews(s) if crews is None else crews
    icons = {group.code: group.icon for group in city.groups}
    nobodys = [row for row in rows if row.crew is None and row.state in OPEN]
    return {
        "args": args_of(view),
        "live": transitions.live,
        "sealed": view.sealed,
        "may_choose": bool(batches.acts_of(g.actor)),
        "near_metres": area_selection.NEAR_METRES,
        "open_states": OPEN,
        "icons": {service.code: icons.get(service.group, "ellipsis-vertical") for service in services},
        "usual": usual_crews.of(s, city.routing, services, crews, nobodys) if nobodys else {},
    }
