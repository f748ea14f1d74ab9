"""Open311 GeoReport v2: every address of it, in JSON and in XML."""

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from flask import Blueprint, Response, request
from flask_babel import gettext as _
from werkzeug.datastructures import MultiDict

from city import csv_cells
from city.config import versions as config_versions
from city.forwarding import client as forwarding
from city.opendata import case_summaries
from city.opendata.case_summaries import Outline
from city.people import accounts, rate_limits
from pwa.open311 import openapi, parse, responses, serializers, submit
from pwa.open311.parse import Fault, Malformed
from pwa.open311.responses import answer
from pwa.web import access, errors
from sync import refused_requests

bp = Blueprint("open311", __name__, url_prefix="/open311")

View = TypeVar("View", bound=Callable[..., Any])
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


def both(rule: str, **options: Any) -> Callable[[View], View]:
    """The page at `rule`.json and at `rule`.xml; without either the request's Accept decides."""

    def register(view: View) -> View:
        for suffix in (".json", ".xml", ""):
            bp.add_url_rule(rule + suffix, view_func=view, **options)
        return view

    return register


errors.answer_below(responses.PREFIX, lambda status, title: responses.faults([Fault(title, status)]))


@bp.errorhandler(Malformed)
def malformed(wrong: Malformed) -> Response:
    """What is wrong, a fault each."""
    return responses.faults(wrong.faults)


@bp.errorhandler(submit.TooOften)
def too_often(wrong: submit.TooOften) -> Response:
    """The key must wait."""
    response = responses.faults([Fault(_("This api_key has made too many requests this hour."), 429)])
    response.headers["Retry-After"] = str(wrong.wait)
    return response


@bp.after_request
def open_to_all(response: Response) -> Response:
    """Pages of other cities' sites may read what is public."""
    if request.method in ("GET", "HEAD"):
        response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers[forwarding.REPEATS] = "once"  # other Citylines may send what has a token again
    return response


@bp.get("/v2/")
def root() -> Response:
    """The address that clients are given; discovery says what lies below it."""
    return discovery()


@both("/discovery", methods=["GET"])
@both("/v2/discovery", methods=["GET"])
def discovery() -> Response:
    """Where what is, in which formats, and whom to ask for a key."""
    here = access.current_city()
    with access.reading() as s:
        newest = config_versions.current(s)
        changed = newest.applied_at if newest else access.now()
        return answer("discovery", serializers.discovery(here.city, changed, invented=accounts.is_demo(s)))


@both("/v2/services", methods=["GET"])
def services() -> Response:
    """Every kind of problem that may be told."""
    _check(request.args)
    city = access.current_city().city
    return answer("services", [serializers.service(each, city) for each in city.for_residents])


@both("/v2/services/<code>", methods=["GET"])
def definition(code: str) -> Response:
    """What is asked about one kind of problem."""
    _check(request.args)
    found = next((each for each in access.current_city().city.for_residents if each.code == code), None)
    if found is None:
        raise Malformed(Fault(_("There is no service_code %(code)s.", code=code), 404))
    return answer("service_definition", serializers.definition(found))


@both("/v2/requests", methods=["GET"])
def requests() -> Response:
    """Cases as anybody may know of them, newest first."""
    found = _wished()
    return answer(
        "service_requests", serializers.requests(found, extended=parse.wants_extensions(request.args))
    )


@bp.get("/v2/requests.csv")
def bulk() -> Response:
    """The same list as a table, in the columns of GeoReport Bulk."""
    return Response(csv_cells.lines(serializers.bulk(_wished())), mimetype="text/csv")


def _wished() -> list[Outline]:
    """The requests that are asked for."""
    _check(request.args)
    publish = access.current_city().publish
    with access.reading() as s:
        kinds = case_summaries.kinds(s)
        wish = parse.wish(request.args, kinds.keys(), access.now())
        if wish.numbers:
            return case_summaries.named(s, wish.numbers, kinds, publish=publish, stops=wish.extended)
        return case_summaries.listed(s, wish.asked, kinds, publish=publish, stops=wish.extended)


@both("/v2/requests/<number>", methods=["GET"])
def one(number: str) -> Response:
    """One case, or one report, which has its case's state."""
    _check(request.args)
    extended = parse.wants_extensions(request.args)
    with access.reading() as s:
        found = case_summaries.named(
            s, [number], case_summaries.kinds(s), publish=access.current_city().publish, stops=extended
        )
    if not found:
        raise Malformed(Fault(_("There is no service_request_id %(number)s.", number=number[:100]), 404))
    return answer("service_requests", serializers.requests(found, extended=extended))


@both("/v2/requests", methods=["POST"])
def create() -> Response:
    """A report from another program, with its photos. Sent again within minutes, it is the same report."""
    _check_form()
    values, now = request.values, access.now()
    files = [file for name in request.files for file in request.files.getlist(name) if file.filename]
    with access.reading() as s:
        key = submit.key_for(s, _key(), accounts.REPORT, now)
        _check(values)
        sent = parse.sent(values, access.current_city().city.for_residents)
        submit.refuse_loop(sent)
        keys = submit.keys_of(key, sent, submit.digest(values, files), now)
        taken = submit.known(s, keys)
        place, about = (None, "") if taken else submit.place_of(s, sent)
    if taken is None:
        if sent.token:
            with access.writing() as s:
                submit.begin(s, sent.token, now)
        pictures, lost = submit.develop(files, len(sent.media))
        with access.writing() as s:
            taken = submit.accept(s, sent, place, about, keys[0], pictures, lost)
            rate_limits.count_one(s, submit.WRITTEN, accounts.of_key(key), now)
    told = {"service_request_id": taken.number, "service_notice": taken.notice or None, "account_id": None}
    return answer("service_requests", [told])


@both("/v2/tokens/<token>", methods=["GET"])
def token(token: str) -> Response:
    """The number of a report whose sender got no answer: the token is what it named its request by."""
    _check(request.args)
    with access.reading() as s:
        found = submit.by_token(s, token, access.now())
    if found is None:
        raise Malformed(Fault(_("There is no token %(token)s.", token=token[:100]), 404))
    told = {"service_request_id": found.number} if found.number else {}
    return answer("service_requests", [told | {"token": token}])


@both("/v2/servicerequestupdates", methods=["GET"])
def updates() -> Response:
    """What has become of requests, step by step, oldest first: for whoever keeps a copy of them."""
    _check(request.args)
    since, until = parse.span(request.args, access.now())
    offset, limit = parse.page_of(request.args)
    with access.reading() as s:
        found = case_summaries.changes(s, since, until, offset=offset, limit=limit)
    return answer("service_request_updates", serializers.updates(found))


@both("/v2/servicerequestupdates", methods=["POST"])
def add_update() -> Response:
    """What became of a request in another system: kept with its case for a person to read."""
    _check_form()
    values, now = request.values, access.now()
    with access.writing() as s:
        key = submit.key_for(s, _key(), accounts.UPDATE, now)
        _check(values)
        update_id = submit.add_update(s, key, parse.update(values), now)
        rate_limits.count_one(s, submit.WRITTEN, accounts.of_key(key), now)
    return answer("service_request_updates", [{"update_id": update_id}])


@bp.get("/openapi.json")
def description() -> Response:
    """All of this as OpenAPI describes it."""
    return answer("openapi", openapi.describe(access.current_city().settings.base_url))


def _key() -> str:
    """The sender's key, out of the form alone: addresses stand in the logs of every machine on the way."""
    if "api_key" in request.args:
        refused_requests.refused(refused_requests.KEY, "in the address")
        raise Malformed(Fault(_("Send api_key in the form, not in the address."), 403))
    return request.form.get("api_key", "")


def _check_form() -> None:
    if request.mimetype and request.mimetype not in FORMS:
        said = _("Send data as a form: application/x-www-form-urlencoded or multipart/form-data.")
        raise Malformed(Fault(said, 415))


def _check(values: MultiDict[str, str]) -> None:
    here = access.current_city()
    base = urlsplit(here.settings.base_url)
    ours = (base.netloc, base.hostname or "", here.city.name)
    parse.check_jurisdiction(values, [name.casefold() for name in ours])
