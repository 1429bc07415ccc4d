import json
import shutil
from pathlib import Path

import pytest

from guardrail.cli.demo.demo import run

BUNDLE = Path(__file__).parents[2] / "policies" / "clinical_scoring"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """The demo keeps its journal below the current folder."""
    monkeypatch.chdir(tmp_path)


def report(capsys):
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def bundle(tmp_path):
    return Path(shutil.copytree(BUNDLE, tmp_path / "bundle"))


def test_every_outcome_is_the_expected_one(capsys):
    assert run("json", bundle=BUNDLE) == 0
    output = report(capsys)
    assert [call["asks"] for call in output["calls"] if not call["holds"]] == []
    assert output["accuracy"] > 0.93
    assert (
        output["records"] == len(output["calls"]) + 60
    )  # tokens that do not hold are on record, too


def test_demo_shows_every_kind_of_denial(capsys):
    run("json", bundle=BUNDLE)
    codes = {call["code"] for call in report(capsys)["calls"]}
    assert codes >= {
        "allow",
        "not_authenticated",
        "token_expired",
        "wrong_audience",
        "bad_signature",
        "no_grant",
        "prohibited",
        "unknown_entity",
        "input_rejected",
        "quota_exceeded",
        "output_blocked",
    }


def test_the_demo_ends_with_the_report_of_its_journal(capsys):
    run("json", bundle=BUNDLE)
    output = report(capsys)
    assert output["journal_is_whole"]
    page = Path(output["report"]).read_text("utf-8")
    calls = output["records"] + output["acts"][0]["records"]
    assert f"<b>{calls}</b><span>calls" in page
    assert "Redactions" in page
    assert "fair-use: calls" in page


def test_table_counts_the_outcomes(capsys):
    assert run("text", bundle=BUNDLE) == 0
    assert "34 of 34 outcomes as expected" in capsys.readouterr().out


@pytest.mark.parametrize("removed", ["prohibitions.cedar", "conditions.cedar"])
def test_bundle_that_allows_more_fails_the_demo(bundle, capsys, removed):
    (bundle / removed).write_text("", encoding="utf-8")
    assert run("json", bundle=bundle) == 1
    assert any(not call["holds"] for call in report(capsys)["calls"])


def test_broken_bundle_exits_with_2_and_names_the_place(bundle, capsys):
    with (bundle / "grants.cedar").open("a", encoding="utf-8") as file:
        file.write("\npermit (principal, action, resource);\n")
    assert run("text", bundle=bundle) == 2
    assert "grants.cedar:" in capsys.readouterr().err
