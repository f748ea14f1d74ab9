"""The kinds of problem as people call them, for whoever looks for one by words."""

from collections.abc import Iterable

from city.config.city_file import Service
from city.reports.service_matcher import Kind
from pwa.web import access


def called(services: Iterable[Service]) -> list[Kind]:
    """What each service is called in every language: its names, its chips, and both with its tile's."""
    tiles = {group.code: group.names for group in access.current_city().city.groups}
    return [
        Kind(each.code, (each.names, each.chips, _together(tiles[each.group], each.chips, each.names)))
        for each in services
    ]


def _together(*names: dict[str, str]) -> dict[str, str]:
    return {lang: " ".join(each.get(lang, "") for each in names) for lang in names[0]}
