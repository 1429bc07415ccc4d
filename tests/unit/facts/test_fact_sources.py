"""The standard fact sources compute the named facts, and nothing else."""

import hashlib
from datetime import UTC, datetime

import numpy as np
import pytest

from guardrail import facts
from guardrail._ports import FactContext
from guardrail.errors import ConfigurationError
from guardrail.facts import AppFacts, Bounds, IdentityFacts, InputFacts, TimeFacts, take_view
from guardrail.values import NO_INPUT, Entity, Identity, Principal

NOW = datetime(2026, 11, 22, 23, 30, tzinfo=UTC).timestamp()  # a Sunday


def context(value=None, *, now=NOW, app=None, **identity):
    view = NO_INPUT if value is None else take_view(value, name="patients", bounds=Bounds())
    return FactContext(
        identity=Identity(Principal("User", "clara"), **identity),
        view=view,
        action="predict",
        resource=Entity("Model", "tumour"),
        now=now,
        app=app or {},
    )


def compute(source, *names, **arguments):
    return source.compute(frozenset(names), context(**arguments))


class TestInput:
    rows = np.arange(6, dtype="f4").reshape(2, 3)

    def test_sizes_of_a_tensor(self):
        found = compute(InputFacts(), "rows", "features", "bytes", "dtype", value=self.rows)
        assert found == {"rows": 2, "features": 3, "bytes": 24, "dtype": "float32"}

    def test_only_what_is_named_is_computed(self):
        assert compute(InputFacts(), "rows", value=self.rows) == {"rows": 2}
        assert compute(InputFacts(), value=self.rows) == {}

    def test_one_source_answers_for_every_set_of_names_and_kind_of_input(self):
        source = InputFacts()
        for _ in range(2):
            assert compute(source, "bytes", value=self.rows) == {"bytes": 24}
            assert compute(source, "bytes", "fields", value={"a": 1})["fields"] == {"a"}
            assert compute(source, "bytes", "rows") == {}
        for number in range(1100):
            assert compute(source, "rows", f"other_{number}", value=self.rows) == {"rows": 2}

    def test_a_call_without_input_has_no_input_facts(self):
        assert compute(InputFacts(), *InputFacts.facts) == {}

    def test_a_record_has_fields_and_no_rows(self):
        found = compute(InputFacts(), "rows", "fields", "bytes", value={"a": 1, "b": "x"})
        assert found["fields"] == frozenset({"a", "b"})
        assert set(found) == {"fields", "bytes"}

    def test_the_digest_of_a_tensor_can_be_recomputed(self):
        found = compute(InputFacts(), "digest", value=self.rows)["digest"]
        assert found == hashlib.sha256(b"float32 2x3\n" + self.rows.tobytes()).hexdigest()

    def test_the_digest_does_not_depend_on_strides(self):
        fortran, copied = np.asfortranarray(self.rows), self.rows[::-1].copy()[::-1]
        digests = {
            compute(InputFacts(), "digest", value=rows)["digest"]
            for rows in (self.rows, fortran, copied)
        }
        assert len(digests) == 1

    @pytest.mark.parametrize("other", [rows.reshape(3, 2), rows.astype("f8"), rows + 1, rows[:0]])
    def test_the_digest_tells_others_apart(self, other):
        one = compute(InputFacts(), "digest", value=self.rows)
        assert compute(InputFacts(), "digest", value=other) != one

    def test_the_digest_is_of_the_numbers_and_not_of_their_byte_order(self):
        for order in "<>":
            rows = self.rows.astype(f"{order}f4")[::-1][::-1]
            assert compute(InputFacts(), "digest", value=rows) == compute(
                InputFacts(), "digest", value=self.rows
            )
            same_bytes = self.rows.view(f"{order}f4").copy()
            is_same = (same_bytes == self.rows).all()
            found = compute(InputFacts(), "digest", value=same_bytes)
            assert (found == compute(InputFacts(), "digest", value=self.rows)) == is_same

    def test_the_digest_of_a_record_ignores_the_order_of_keys_only(self):
        def digest(record):
            return compute(InputFacts(), "digest", value=record)["digest"]

        assert digest({"a": 1, "b": [1]}) == digest({"b": (1,), "a": 1})
        different = [{"a": 1}, {"a": 1.0}, {"a": True}, {"a": "1"}, {"a": None}, {"b": 1}, {}]
        assert len({digest(record) for record in different}) == len(different)
        assert digest({"a": "\ud800", "b": float("nan"), "c": 10**4000})


class TestIdentity:
    def test_what_a_token_said_is_there(self):
        found = compute(
            IdentityFacts(),
            *IdentityFacts.facts,
            provider="hospital",
            issuer="https://sso.example",
            method="jwt",
            mfa=True,
            authenticated_at=NOW - 90.5,
            expires_at=NOW + 60.5,
            delegated=True,
            actor="service",
        )
        assert found == {
            "provider": "hospital",
            "issuer": "https://sso.example",
            "method": "jwt",
            "mfa": True,
            "authenticated_age_s": 91,
            "expires_in_s": 60,
            "delegated": True,
            "actor": "service",
        }
        assert all(type(value) is not float for value in found.values())

    def test_what_is_unknown_is_left_out(self):
        found = compute(IdentityFacts(), *IdentityFacts.facts)
        assert set(found) == {"provider", "method", "mfa", "delegated"}

    def test_times_that_stand_the_other_way_round_are_zero(self):
        times = {"authenticated_at": NOW + 5, "expires_at": NOW - 5}
        found = compute(IdentityFacts(), "authenticated_age_s", "expires_in_s", **times)
        assert found == {"authenticated_age_s": 0, "expires_in_s": 0}

    def test_only_what_is_named_is_computed(self):
        assert compute(IdentityFacts(), "mfa") == {"mfa": False}

    def test_one_source_answers_for_more_sets_of_names_than_it_remembers(self):
        source = IdentityFacts()
        for number in range(1100):
            found = compute(source, "actor", "delegated", f"other_{number}", actor="batch")
            assert found == {"actor": "batch", "delegated": False}
        assert compute(source, "actor", "issuer") == {}


class TestTime:
    def test_in_utc(self):
        found = compute(TimeFacts(timezone="UTC"), *TimeFacts.facts)
        assert found == {
            "now": datetime(2026, 11, 22, 23, 30, tzinfo=UTC),
            "hour": 23,
            "weekday": 7,
            "date": "2026-11-22",
        }

    def test_hour_weekday_and_date_are_the_bundles(self):
        found = compute(TimeFacts(timezone="Europe/Berlin"), *TimeFacts.facts)
        assert (found["hour"], found["weekday"], found["date"]) == (0, 1, "2026-11-23")
        assert found["now"].tzinfo is UTC

    def test_only_what_is_named_is_computed(self):
        assert compute(TimeFacts(timezone="UTC"), "hour") == {"hour": 23}

    @pytest.mark.parametrize(
        "timezone",
        ["Mars/Olympus", "", "../passwd", "/etc/passwd", "Europe", "localtime", "posixrules",
         "posix/Europe/Berlin", "right/Europe/Berlin", "right/UTC", "Factory", "europe/berlin",
         "Europe/Berlin ", "Europe//Berlin", "./Europe/Berlin", "Europe/../Europe/Berlin",
         "Europe/Berlin/", "/usr/share/zoneinfo/UTC", "UTC\n", "utc", "zone.tab", "tzdata.zi",
         "__init__.py", "Europe\nUTC", "UTC+1", "CET-1CEST"],
    )  # fmt: skip
    def test_an_unknown_time_zone_is_a_load_error(self, timezone):
        with pytest.raises(ConfigurationError, match=r"bundle\.timezone") as caught:
            facts.standard(timezone=timezone, bounds=facts.Bounds())
        assert caught.value.__context__ is None


def test_the_application_passes_its_own():
    app = {"purpose": "care", "secret": 1}
    assert compute(AppFacts(), "purpose", "absent", app=app) == {"purpose": "care"}


def test_standard_sources_have_each_their_place():
    sources = facts.standard(timezone="UTC", bounds=facts.Bounds())
    assert [source.namespace for source in sources] == [
        "input", "identity", "peer", "peer_attestation", "host", "time", "app",
    ]  # fmt: skip
