"""The `[evidence.NAME]` tables: valid settings, and each error at its place."""

import secrets

import pytest
from attestations import CLAIMS, NAMES, NOW, Service

from guardrail._documents import read_toml
from guardrail.errors import ConfigurationError, NotAuthenticated
from guardrail.identity.attestation.evidence import Appraised
from guardrail.identity.attestation.formats import FORMATS, Reading
from guardrail.identity.attestation.load import read_evidence_verifiers
from guardrail.identity.attestation.nonces import Challenges
from guardrail.identity.attestation.settings import read_evidence
from guardrail.values import Evidence

GOOD = {
    "about": '"peer"',
    "format": '"confidential_space"',
    "issuer": '"https://confidentialcomputing.googleapis.com"',
    "audience": '"https://scoring.hospital.example"',
    "algorithms": '["RS256"]',
    "jwks": '"https://keys.example/jwks"',
}
HOST = {"about": '"host"', "token_file": '"/run/token"'}
NITRO = 'about = "peer"\nformat = "nitro"\n'
AZURE = {"format": '"azure_maa"', "audience": None}


def text_of(name="enclaves", **changes):
    table = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}
    return "\n".join([f"[evidence.{name}]", *(f"{key} = {table[key]}" for key in table), ""])


def document(*texts):
    return read_toml("guardrail.toml", "".join(texts).encode()).below("evidence")


def load(*texts):
    return read_evidence(document(*texts), formats=[kind.name for kind in FORMATS], own=["nitro"])


def faults(*texts):
    with pytest.raises(ConfigurationError) as caught:
        load(*texts)
    assert caught.value.__context__ is None
    assert {fault.code for fault in caught.value.faults} == {"GR003"}
    return caught.value.faults


def test_the_least_of_a_table():
    table = load(text_of())["enclaves"]
    assert (table.about, table.max_age_s, table.leeway_s) == ("peer", 300.0, 0.0)
    assert table.needs_nonce
    assert table.accepted_status == {"UpToDate"}
    assert load(text_of(nonce='"none"'))["enclaves"].needs_nonce is False


def test_a_host_has_a_file_and_no_nonce():
    table = load(text_of("here", **HOST))["here"]
    assert (table.token_file, table.needs_nonce) == ("/run/token", False)


def test_a_bundle_without_tables_has_none():
    assert read_evidence(None, formats=()) == {}
    assert load("[evidence]\n") == {}


def test_keys_are_pinned_or_fetched():
    pinned = load(text_of(jwks=None, key_file='"keys/google.pem"'))["enclaves"]
    assert (pinned.jwks, pinned.key_file) == (None, "keys/google.pem")
    fetched = load(text_of(ca_file='"keys/ca.pem"'))["enclaves"]
    assert fetched.ca_file == "keys/ca.pem"


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"about": '"me"'}, "about"),
        ({"about": None}, "about"),
        ({"format": None}, "format"),
        ({"format": '"confidential-space"'}, "format"),
        ({"issuer": None}, "issuer"),
        ({"issuer": '""'}, "issuer"),
        ({"audience": None}, "audience"),
        ({**AZURE, "audience": '"us"'}, "audience"),
        ({"algorithms": None}, "algorithms"),
        ({"algorithms": "[]"}, "algorithms"),
        ({"algorithms": '["RS256", "RS256"]'}, "algorithms"),
        ({"algorithms": '["HS256"]'}, "algorithms"),
        ({"algorithms": '["none"]'}, "algorithms"),
        ({"jwks": None}, "jwks"),
        ({"key_file": '"k.pem"'}, "key_file"),
        ({"jwks": '"http://keys.example/jwks"'}, "jwks"),
        ({"jwks": '"https://"'}, "jwks"),
        ({"jwks": '"https://me:word@keys.example/jwks"'}, "jwks"),
        ({"jwks": '"https://[::1/jwks"'}, "jwks"),
        ({"jwks": None, "key_file": '"k.pem"', "ca_file": '"ca.pem"'}, "ca_file"),
        ({"max_age_s": "0"}, "max_age_s"),
        ({"max_age_s": "86401"}, "max_age_s"),
        ({"max_age_s": "nan"}, "max_age_s"),
        ({"leeway_s": "121"}, "leeway_s"),
        ({"leeway_s": "-1"}, "leeway_s"),
        ({"nonce": '"optional"'}, "nonce"),
        ({**HOST, "nonce": '"required"'}, "nonce"),
        ({**HOST, "token_file": None}, "token_file"),
        ({**HOST, "token_file": '"run/token"'}, "token_file"),
        ({"token_file": '"/run/token"'}, "token_file"),
        ({"tcb_status": '["UpToDate"]'}, "tcb_status"),
        ({**AZURE, "tcb_status": '["Revoked"]'}, "tcb_status"),
        ({**AZURE, "tcb_status": "[]"}, "tcb_status"),
        ({"secret_env": '"SECRET"'}, "secret_env"),
    ],
)
def test_what_is_wrong_is_named_at_its_place(change, key):
    (fault,) = faults(text_of(**change))
    assert key in fault.message
    assert fault.place.file == "guardrail.toml"
    assert fault.place.line >= 1


def test_a_format_that_there_is_not_is_answered_with_those_that_there_are():
    (fault,) = faults(text_of(format='"nitro2"'))
    assert "azure_maa, confidential_space, nitro, trust_authority" in fault.message
    assert "nitro2" not in fault.message


@pytest.mark.parametrize("text", ["evidence = 7\n", "[evidence]\nenclaves = 7\n"])
def test_what_is_no_table_is_refused(text):
    assert faults(text)


@pytest.mark.parametrize(
    "texts",
    [
        (text_of("a", **HOST), text_of("b", **HOST)),
        (text_of("a"), text_of("b")),
        (f"[evidence.a]\n{NITRO}", f"[evidence.b]\n{NITRO}"),
    ],
    ids=["hosts", "issuers", "own"],
)
def test_two_tables_that_evidence_could_mean_are_refused(texts):
    (fault,) = faults(*texts)
    assert "another table" in fault.message
    assert fault.place.line > 1


def test_one_issuer_may_attest_callers_and_this_host():
    assert set(load(text_of("a"), text_of("b", **HOST))) == {"a", "b"}


def test_every_fault_is_named():
    found = faults(text_of("a", about='"me"', max_age_s="0"), text_of("b", format='"x"'))
    assert len(found) == 3


def test_an_own_format_has_no_issuer_of_ours():
    table = '[evidence.enclaves]\nabout = "peer"\nformat = "nitro"\n'
    assert load(table)["enclaves"].format == "nitro"
    (fault,) = faults(table + 'issuer = "https://x.example"\n')
    assert "issuer" in fault.message


# Tables made ready


class Nitro:
    """An application's own kind of evidence, which is no token."""

    name = "nitro"

    def appraise(self, presented, now):
        return Appraised(
            Evidence("aws_nitro", presented.decode(), False, issued_at=now, expires_at=now + 60)
        )


class Veraison:
    """An application's own kind of attestation tokens."""

    name = "veraison"

    def read(self, claims):
        return Reading("arm_cca", claims["rim"], debug=False)


def machines(*texts, **options):
    challenges = Challenges(random=secrets.token_bytes)
    services = {}

    def signature_check_for(settings, at):
        assert at.data["issuer"] == settings.issuer
        return services.setdefault(
            settings.issuer, Service(settings.algorithms[0])
        ).check_signature_of

    read = document(*texts) if texts else None
    return read_evidence_verifiers(
        read, challenges=challenges, signature_check_for=signature_check_for, **options
    ), services


def test_no_tables_make_machines_that_take_nothing():
    found, _ = machines()
    assert found.host is None
    with pytest.raises(NotAuthenticated) as caught:
        found.peer.verify("a.b.c", NOW)
    assert caught.value.code == "bad_evidence"
    assert "[evidence.NAME]" in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_each_format_can_be_named(name):
    issuer = CLAIMS[name]()["iss"]
    change = {"format": f'"{name}"', "issuer": f'"{issuer}"', "nonce": '"none"'}
    if name != "confidential_space":
        change["audience"] = None
    found, services = machines(text_of(**change))
    evidence = found.peer.verify(services[issuer].sign(CLAIMS[name]()), NOW)
    assert evidence.debug is False


def test_own_kinds_of_evidence_stand_beside_ours():
    own = '[evidence.nitros]\nabout = "peer"\nformat = "nitro"\nnonce = "none"\n'
    tokens = text_of(
        "cca", format='"veraison"', audience=None, issuer='"https://v"', nonce='"none"'
    )
    found, services = machines(own, tokens, formats=[Veraison()], appraisers=[Nitro()])
    assert found.peer.verify(b"ab" * 24, NOW).platform == "aws_nitro"
    claims = {"iss": "https://v", "iat": NOW, "exp": NOW + 9, "rim": "cd" * 32}
    token = services["https://v"].sign(claims)
    assert found.peer.verify(token, NOW).platform == "arm_cca"


def test_a_table_about_the_host_makes_the_hosts_evidence():
    found, _ = machines(text_of("here", **HOST))
    assert found.host is not None
    assert found.host.current(NOW) is None
    assert (found.host.complaint.code, "token" in repr(found)) == ("bad_evidence", False)


@pytest.mark.parametrize(
    "options",
    [
        {"appraisers": [Nitro(), Nitro()]},
        {"formats": [Veraison(), Veraison()]},
        {"formats": [Veraison()], "appraisers": [type("V", (Nitro,), {"name": "veraison"})()]},
        {"appraisers": [type("S", (Nitro,), {"name": "azure_maa"})()]},
    ],
)
def test_two_formats_of_one_name_are_refused(options):
    with pytest.raises(ConfigurationError, match="Rename one"):
        machines(text_of(), **options)
