"""Time zones are those of the package `tzdata`, whatever the machine has."""

import importlib.resources
import zoneinfo
from datetime import UTC, datetime, timedelta

import pytest

from guardrail import ConfigurationError
from guardrail._timezones import find_zone

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


def names():
    text = importlib.resources.files("tzdata").joinpath("zones").read_text("ascii")
    return [name for name in text.split() if name != "Factory"]


def test_every_name_of_the_database_is_a_zone():
    assert len(names()) > 400
    for name in names():
        assert NOW.astimezone(find_zone(name)) == NOW


def test_a_machine_with_other_rules_decides_no_other_way(tmp_path, monkeypatch):
    package = importlib.resources.files("tzdata").joinpath("zoneinfo")
    (tmp_path / "Europe").mkdir()
    for name in ("Europe/Berlin", "localtime", "UTC"):  # as if Tokyo were meant by each
        (tmp_path / name).write_bytes(package.joinpath("Asia", "Tokyo").read_bytes())
    zoneinfo.reset_tzpath([str(tmp_path)])
    zoneinfo.ZoneInfo.clear_cache()
    try:
        other = NOW.astimezone(zoneinfo.ZoneInfo("Europe/Berlin")).utcoffset()
        assert other == timedelta(hours=9)
        for name, hours in (("Europe/Berlin", 2), ("UTC", 0)):
            assert NOW.astimezone(find_zone(name)).utcoffset() == timedelta(hours=hours)
        with pytest.raises(LookupError):
            find_zone("localtime")
    finally:
        zoneinfo.reset_tzpath()
        zoneinfo.ZoneInfo.clear_cache()


@pytest.mark.parametrize("name", ["localtime", "posixrules", "posix/UTC", "right/UTC", "Factory"])
def test_a_bundle_with_a_zone_of_the_machine_does_not_load(make_guard, name):
    toml = f'[bundle]\nname = "small"\nversion = "1"\ntimezone = "{name}"\n'
    with pytest.raises(ConfigurationError) as caught:
        make_guard(**{"guardrail.toml": toml})
    assert [fault.code for fault in caught.value.faults] == ["GR003"]
