"""`guardrail journal export` refuses invalid options before it sends anything."""

import pytest
from journals import written
from typer.testing import CliRunner

from guardrail.cli import app


def export(path, *options, endpoint="https://collector.invalid:4318"):
    options = ("--endpoint", endpoint, *options)
    return CliRunner().invoke(app, ["journal", "export", str(path), *options])


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://clara:secret@localhost", "https://clara@localhost", "https://localhost:0",
        "https://localhost:99999", "https://localhost:x", "https://local host",
        "https://löcalhost", "https://localhost/\n", "localhost:4318", "",
    ],
)  # fmt: skip
def test_an_endpoint_that_is_none_is_refused_at_once(tmp_path, endpoint):
    written(tmp_path, 1)
    ended = export(tmp_path, endpoint=endpoint)
    assert ended.exit_code == 2
    assert "--endpoint" in ended.output
    assert "secret" not in ended.output


@pytest.mark.parametrize("header", ["", "x", "=x", "a b=c", "a\n=b", "a=b\r\nc: d", "ä=b", "a=ä"])
def test_a_header_that_is_none_is_refused_at_once(tmp_path, header):
    written(tmp_path, 1)
    ended = export(tmp_path, "--header", header)
    assert ended.exit_code == 2
    assert "NAME=VALUE" in ended.output


def test_one_segment_is_refused_with_the_folder_to_give(tmp_path):
    ended = export(written(tmp_path, 1))
    assert ended.exit_code == 2
    assert "Give its folder" in ended.output
