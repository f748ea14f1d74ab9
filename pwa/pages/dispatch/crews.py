"""The crews of today: what each holds, when its phones were heard, what waits on them, what is packed."""

from dataclasses import dataclass

from flask import Blueprint, Response

from city.board import queries as city_board
from city.board.queries import STANDINGS, View
from city.db.models import Crew, Device
from city.people import accounts, duty
from pwa.web import access
from pwa.web.fragments import render
from sync import devices

bp = Blueprint("crews", __name__, url_prefix="/dispatch/crews")


@dataclass(frozen=True)
class Team:
    """A crew, how many open cases it holds by standing, and its people with the phones that each uses."""

    crew: Crew
    held: dict[str, int]
    members: list[tuple[str, list[Device]]]

    @property
    def jobs(self) -> int:
        """How many open cases it holds."""
        return sum(self.held.values())


@bp.get("")
def board() -> Response:
    """Every crew by name."""
    at = access.now()
    with access.reading() as s:
        kept, members = city_board.tally(s, city_board.services(s)), accounts.members(s)
        phones: dict[int, list[Device]] = {}
        for device, person in devices.of_crews(s):
            if device.revoked_at is None:
                phones.setdefault(person.id, []).append(device)
        teams = [
            Team(
                crew,
                {
                    standing: n
                    for standing in STANDINGS
                    if (n := kept.of(View(crew=str(crew.id), standing=standing)))
                },
                [(name, phones.get(person_id, [])) for person_id, name in members.get(crew.id, [])],
            )
            for crew in city_board.crews(s)
        ]
        own = [device for found in phones.values() for device in found]
        silent = sum(devices.is_silent(device, at) for device in own)
        return render(
            "dispatch/crews.html", teams=teams, silent=silent, standings=STANDINGS,
            is_silent=lambda device: devices.is_silent(device, at),
            since=devices.waits_since, packed_at=devices.packed_at, on_duty=duty.listed(s, at),
        )  # fmt: skip
