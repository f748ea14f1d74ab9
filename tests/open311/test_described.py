"""The API as it is described: by OpenAPI, by the official schemas, by the examples of the documentation."""

import io
import json
import os
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from defusedxml.ElementTree import fromstring
from factories import Town
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from pictures import plain
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sender import KEY

from city.cases import transitions
from city.cases.transitions import Closing
from city.db.models import ApiKey
from city.reports import intake
from pwa.open311 import openapi

Get = Callable[..., Any]
CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance,
]  # fmt: skip
WITHOUT_ARGUMENTS = ("/discovery.json", "/v2/discovery.json", "/openapi.json")
TRIES = 100 if os.environ.get("CITYLINE_FULL") else 25  # of each address
EXAMPLES = Path(__file__).parents[2] / "docs" / "reference" / "open311.md"


def test_every_address_of_the_code_is_described_and_no_other(app: Flask) -> None:
    described = {
        (path, method.upper())
        for path, methods in openapi.describe("https://town.example")["paths"].items()
        for method in methods
    }
    served = {
        (re.sub(r"<(?:[^:>]+:)?([^>]+)>", r"{\1}", rule.rule).removeprefix("/open311"), method)
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("open311.") and rule.rule.endswith(".json")
        for method in rule.methods or ()
        if method in ("GET", "POST")
    }
    assert served == described


def operations(app: Flask) -> Iterator[Any]:
    schema = schemathesis.openapi.from_wsgi("/open311/openapi.json", app)
    return (found.ok() for found in schema.get_all_operations())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_no_request_breaks_the_server_or_the_description(
    town: Town, app: Flask, mode: GenerationMode
) -> None:
    with town.at_work() as scene:
        report = scene.report(words="Dark.")
        intake.show(scene.s, report, by=scene.actor("dispatcher"), at=town.now)
        transitions.accept(scene.s, report.case, by=scene.actor("dispatcher"), at=town.now)
        scene.s.query(ApiKey).one().hourly = 1_000_000
        scene.s.query(ApiKey).one().scopes = ["report", "update"]
    asked = 0
    for operation in operations(app):
        if mode is GenerationMode.NEGATIVE and operation.path in WITHOUT_ARGUMENTS:
            continue

        @settings(max_examples=TRIES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            nonlocal asked
            asked += 1
            if isinstance(case.body, dict):  # beyond the door, most of the time
                case.body |= {"api_key": KEY} if asked % 5 else {}
                case.body |= {"service_code": "light-out"} if asked % 3 else {}
            plain = {"Accept-Encoding": "identity"}  # in process nobody unpacks an answer
            case.validate_response(case.call(headers=plain), checks=CHECKS)

        ask()
    assert asked > 100


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        ("/v2/services", "services"),
        ("/v2/services/pole-damaged", "service-definition"),
        ("/v2/services/light-out", "service-definition"),
        ("/v2/requests", "requests"),
    ],
)
def test_the_official_schemas_hold(real_data: Path, town: Town, get: Get, path: str, schema: str) -> None:
    with town.at_work() as scene:
        scene.report()
        closed = scene.report(place=None, words="Dark.")
        intake.show(scene.s, closed, by=scene.actor("dispatcher"), at=town.now)
        transitions.close(
            scene.s, closed.case, Closing("fixed", no_photo="dark"), by=scene.actor("dispatcher"), at=town.now
        )
    folder = real_data / "open311" / "schema"
    whole = {file.name: json.loads(file.read_text()) for file in folder.glob("*.json")}
    wanted = whole[f"{schema}.json"]
    if "items" in wanted:
        each = jsonschema_rs.validator_for(whole[wanted["items"]["$ref"]], validate_formats=True)
        found = get(path, extensions="true")
        assert found
        for one in found:
            each.validate(one)
    else:
        jsonschema_rs.validator_for(wanted).validate(get(path))


def examples(form: str) -> list[tuple[str, str]]:
    """Each command of the documentation with the JSON or XML that it says comes back."""
    blocks = re.findall(
        rf"```sh\n(curl [^`]*?)\n```\n\n```{form}\n(.*?)\n```", EXAMPLES.read_text("utf-8"), re.DOTALL
    )
    return [(command, answer) for command, answer in blocks]


def test_the_documentation_has_examples() -> None:
    assert len(examples("json")) >= 6


def test_the_xml_of_the_documentation_comes_out_as_written(client: FlaskClient) -> None:
    for command, written in examples("xml"):
        found = fromstring(client.get(command.partition("8311")[2]).get_data())
        told = [(each.tag, each.text) for each in found.iter()]
        for each in fromstring(written).iter():
            assert (each.tag, each.text if len(each) == 0 else None) in told


def test_the_examples_of_the_documentation_come_out_as_written(
    town: Town, client: FlaskClient, app: Flask
) -> None:
    """Every member that an example shows is there, with a value of its kind; times are today's."""
    number = ""
    with town.at_work() as scene:
        scene.s.query(ApiKey).one().scopes = ["report", "update"]
    for command, written in examples("json"):
        words = shlex.split(command.replace("\\\n", " "))
        url = next(word for word in words if word.startswith("http"))
        url = url.replace("26-000001-A", number or "26-000001-A").replace(
            "26-000001", number[:9] or "26-000001"
        )
        path = url.partition("8311")[2]
        fields = [
            words[n + 1].partition("=")[::2]
            for n, word in enumerate(words)
            if word in ("--data-urlencode", "-F")
        ]
        if fields:
            data = {
                name: value.replace("demo-key", KEY).replace("26-000001-A", number) for name, value in fields
            }
            sent = {n: (io.BytesIO(plain()), v[1:]) if v.startswith("@") else v for n, v in data.items()}
            response = client.post(path, data=sent)
        else:
            response = client.get(path)
        assert response.status_code < 500
        answer, expected = response.get_json(), json.loads(written)
        assert _shape(expected, answer), f"{command}\n{json.dumps(answer, indent=2)}"
        if (
            isinstance(answer, list)
            and answer
            and str(answer[0].get("service_request_id", "")).endswith("-A")
        ):
            number = answer[0]["service_request_id"]


def _shape(expected: Any, found: Any) -> bool:
    """Whether `found` has at least the members of `expected`, of the same kinds."""
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(
            name in found and _shape(value, found[name]) for name, value in expected.items()
        )
    if isinstance(expected, list):
        return isinstance(found, list) and all(any(_shape(e, f) for f in found) for e in expected)
    return expected is None or type(expected) is type(found) or {type(expected), type(found)} == {int, float}
