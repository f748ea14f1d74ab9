"""Everything that answers JSON is described, and no request breaks the server or its description.

With CITYLINE_LONG each address is asked 25 times as often.
"""

import inspect
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import schemathesis
from factories import Town
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from werkzeug.routing import Rule

from pwa import openapi

pytestmark = pytest.mark.both_databases

CREW_MEMBER = "rosa"
CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance,
]  # fmt: skip
EXAMPLES = 300 if os.environ.get("CITYLINE_LONG") else 12
JSON = re.compile(r"jsonify\(|application/json|_json\(|_offset\(|_unless_known\(")
OURS = {"X-Cityline": "1", "Sec-Fetch-Site": "same-origin"}
PLAIN = {"Accept-Encoding": "identity"}  # in process nobody unpacks an answer


def path_of(rule: Rule) -> str:
    return re.sub(r"<(?:[^:>]+:)?([^>]+)>", r"{\1}", rule.rule)


def test_every_address_that_answers_json_is_described(app: Flask) -> None:
    told = openapi.describe("https://town.example")["paths"]
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith("open311."):
            continue  # test_described.py there compares them
        source = inspect.getsource(inspect.unwrap(app.view_functions[rule.endpoint]))
        for method in (rule.methods or set()) & {"GET", "POST", "PATCH", "PUT", "DELETE"}:
            if JSON.search(source):
                assert method.lower() in told.get(path_of(rule), {}), f"{method} {rule.rule} is not described"


def test_what_is_described_is_served(app: Flask) -> None:
    served = {(path_of(rule), method) for rule in app.url_map.iter_rules() for method in rule.methods or ()}
    for path, methods in openapi.describe("https://town.example")["paths"].items():
        for method in methods:
            assert (path, method.upper()) in served


def test_an_empty_body_fits_no_description_of_one() -> None:
    bodies = {
        f"{method} {path}": each["requestBody"]
        for path, methods in openapi.describe("https://town.example")["paths"].items()
        for method, each in methods.items()
        if "requestBody" in each and not path.startswith("/open311/")
    }
    assert len(bodies) > 5
    for where, body in bodies.items():
        for kind, told in body["content"].items():
            if kind != "application/octet-stream":
                assert body["required"], where
                assert "$ref" in told["schema"] or told["schema"]["required"], where


def test_names_of_operations_are_told_apart(client: FlaskClient) -> None:
    told = client.get("/openapi.json").json
    assert told is not None
    names = [each["operationId"] for methods in told["paths"].values() for each in methods.values()]
    assert len(names) == len(set(names)) > 20


def test_open311_is_described_once(client: FlaskClient) -> None:
    whole, theirs = client.get("/openapi.json").json, client.get("/open311/openapi.json").json
    assert whole
    assert theirs
    for path, told in theirs["paths"].items():
        assert whole["paths"][f"/open311{path}"] == told


@dataclass(frozen=True)
class Caller:
    """The headers with which somebody asks, and what field sync calls their phone."""

    headers: dict[str, str]
    device: str


@pytest.fixture
def caller(app: Flask, log_in: Callable[..., FlaskClient]) -> Callable[[str], Caller]:
    """Somebody of the cast, with a session, a form's token and a phone; "" is a resident."""

    def made(name: str) -> Caller:
        client = log_in(name) if name else app.test_client()
        found = re.search('name="csrf_token" value="([^"]+)"', client.get("/login").text)
        assert found
        kind = {"": "resident", CREW_MEMBER: "device"}.get(name)
        phone = client.post(f"/sync/v1/{kind}", headers=OURS).json if kind else None
        names = ("cl_session", "cl_device", "cl_resident")
        paths = ("/", "/sync", "/sync")
        kept = [client.get_cookie(each, path=path) for each, path in zip(names, paths, strict=True)]
        cookies = "; ".join(f"{cookie.key}={cookie.value}" for cookie in kept if cookie)
        return Caller({"X-CSRFToken": found[1], "Cookie": cookies}, (phone or {}).get("device", ""))

    return made


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["", CREW_MEMBER, "dispatcher", "administrator"])
def test_no_request_breaks_the_server_or_the_description(
    name: str, app: Flask, town: Town, caller: Callable[[str], Caller]
) -> None:
    with town.at_work() as scene:
        jobs = [scene.assigned(words="Dark.").number, scene.report(words="Dim.").case.number]
    for limiter in app.extensions["limiter"]:
        limiter.enabled = False  # how often is another test's
    who = caller(name)
    wrong: list[str] = []
    asked = 0
    for operation in operations(app):
        for mode in GenerationMode:

            @hypothesis_settings(
                max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None,
                phases=[Phase.generate],
            )  # fmt: skip
            @given(case=operation.as_strategy(generation_mode=mode))
            def send(case: Any) -> None:
                nonlocal asked
                asked += 1
                if isinstance(case.body, dict) and asked % 4:  # beyond the door, most of the time
                    lead_in(case.body, who.device, jobs)
                headers = who.headers | PLAIN | (OURS if asked % 3 else {})
                # No worker runs here, so the instance is not ready and says so.
                checks = [each for each in CHECKS if case.path != "/readyz" or each is not not_a_server_error]
                case.validate_response(case.call(headers=headers), checks=checks)

            try:
                send()
            except Unsatisfiable:
                continue  # there is nothing that this address would refuse
            except (Exception, BaseExceptionGroup) as fault:
                faults = getattr(fault, "exceptions", [fault])
                wrong += [f"{operation.label} {mode.value}: {str(each)[:600]}" for each in faults]
    assert not wrong, "\n\n".join(wrong)
    assert asked > 50


def lead_in(body: dict[str, Any], device: str, jobs: list[str]) -> None:
    """Names in an exchange what is there: the phone that asks, and cases of the town."""
    if "nonce" in body and device:
        body["device"] = device
    ops = body.get("ops")
    for n, op in enumerate(ops if isinstance(ops, list) else []):
        if isinstance(op, dict):
            op["case"] = jobs[n % len(jobs)]


def operations(app: Flask) -> Iterator[Any]:
    """All but Open311's, which test_described.py there asks with a key."""
    schema = schemathesis.openapi.from_wsgi("/openapi.json", app)
    found = (each.ok() for each in schema.get_all_operations())
    return (each for each in found if not each.path.startswith("/open311"))
