"""The newest version of the city file, taken up by a server or worker while it runs."""

import logging
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from city.config import city_file
from city.config import versions as config_versions
from city.config.city_file import CityFile, CityFileError
from city.db import engine as db
from city.settings import Settings
from pwa.web import access

LOOK_EVERY = timedelta(seconds=3)

log = logging.getLogger("cityline.city")


def load_at_start(settings: Settings, engine: Engine) -> tuple[int, CityFile]:
    """The newest version's number and city; the file itself, as number 0, where none was applied yet."""
    number, city = _newer(engine, 0)
    return (number, city) if city else (0, city_file.load(settings.city))


def reload_if_changed() -> None:
    """Before a request, or in each round of the worker: looks at most every few seconds for a newer version.

    Languages stay as they were at the start, since every address hangs on them. A version that cannot be
    read changes nothing: what was good a moment ago still is.
    """
    held = access.current_city()
    at = held.now()
    if held.looked_at and abs(at - held.looked_at) < LOOK_EVERY:
        return
    held.looked_at = at
    held.version, city = _newer(held.engine, held.version)
    if city:
        held.city = replace(city, languages=held.city.languages)
        log.info("now using version %d of the city file", held.version)


def _newer(engine: Engine, known: int) -> tuple[int, CityFile | None]:
    """The newest version's number; its city too, unless it is the `known` one or cannot be used."""
    number = known
    try:
        with db.read_session(engine) as s:
            number = config_versions.newest(s)
            policy = config_versions.current(s) if number != known else None
        return number, city_file.parse(policy.text, f"version {number}") if policy else None
    except CityFileError as fault:
        log.error("%s", fault)
    except SQLAlchemyError as fault:
        log.warning("can't read any version of the city file: %s", type(fault).__name__)
    return number, None
