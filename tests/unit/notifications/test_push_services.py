"""Which push services a city names besides those of browsers."""

import pytest

from city import settings as city_settings


def test_names_of_hosts_are_taken(tmp_path: object) -> None:
    read = city_settings.read(
        {"CITYLINE_VAR": f"{tmp_path}/var", "CITYLINE_PUSH_SERVICES": "push.example.org, *.More.example"}
    )
    assert read.push_services == ("push.example.org", "*.more.example")


@pytest.mark.parametrize(
    "value",
    ["https://push.example", "*", "*.com.", "push.example/x", "push.example:8443", "*x.example", "10.0.0.7"],
)
def test_what_is_no_name_of_a_host_stops_the_start(value: str) -> None:
    with pytest.raises(city_settings.WrongSetting, match="CITYLINE_PUSH_SERVICES"):
        city_settings.read({"CITYLINE_PUSH_SERVICES": value})
