"""Credentials are read from an ASGI scope, and ambiguous ones are refused."""

import traceback

import pytest
from exchanges import http
from hypothesis import given
from hypothesis import strategies as st

from guardrail import NotAuthenticated
from guardrail.integrations.credentials import LIMIT_BYTES, LIMIT_CERTIFICATES, CredentialReader
from guardrail.values import Peer

TOKEN = "eyJh.eyJz-_~+/.c2ln=="
MARK = "leak-4711"
PEM = "-----BEGIN CERTIFICATE-----\nleaf\n-----END CERTIFICATE-----\n"


def token(*headers, **options):
    return CredentialReader(**options).read(http(*headers)).token


def refused(code, *headers, options=None, **scope):
    with pytest.raises(NotAuthenticated) as caught:
        CredentialReader(**(options or {})).read(http(*headers, **scope))
    error = caught.value
    assert error.code == code
    assert error.__cause__ is error.__context__ is None
    assert MARK not in "".join(traceback.format_exception_only(error)) + repr(error.__dict__)


# Bearer


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("authorization", f"Bearer {TOKEN}"),
        ("Authorization", f"bearer {TOKEN}"),
        ("AUTHORIZATION", f"BEARER {TOKEN}"),
        ("authorization", f"bEaReR  {TOKEN}"),  # RFC 6750 §2.1: 1*SP
        ("authorization", f" Bearer {TOKEN}\t "),  # RFC 9110 §5.5: white space around is none
    ],
)
def test_a_bearer_token_is_found(name, value):
    assert token((name, value)) == TOKEN


def test_an_api_key_may_come_as_bearer():
    assert token(("authorization", "Bearer gr_abc_DEF-1")) == "gr_abc_DEF-1"


@pytest.mark.parametrize(
    "value",
    [
        b"Bearer",
        b"bearer   ",
        b"Bearer\t" + MARK.encode(),
        b"Bearer " + MARK.encode() + b" more",
        b"Bearer " + MARK.encode() + b", Bearer " + MARK.encode(),  # joined by a proxy
        b"Bearer " + MARK.encode() + b"\xe4",
        b"Bearer " + MARK.encode() + b"\x00",
        b"Bearer " + MARK.encode() + b"\nx",
        b"Bearer =" + MARK.encode(),
        b"Bearer " + MARK.encode() + b"=x",
        b'Bearer "' + MARK.encode() + b'"',
        b"Bearer:" + MARK.encode(),
        b"Bearer=" + MARK.encode(),
        b"Bearer " + b"a" * LIMIT_BYTES,
        b"Bearer " + b"a" * 1_000_000,
        b"Bearer" + b" " * 1_000_000 + b"a",
        b"a" * 1_000_000,
    ],
    ids=range(17),
)
def test_a_malformed_bearer_token_is_refused_and_not_taken_for_none(value):
    refused("malformed_token", (b"authorization", value))


@pytest.mark.parametrize(
    "value", ["Basic abc", "Digest x=y", "BearerToken abc", "Bear abc", "DPoP abc", TOKEN, "", "  "]
)
def test_another_scheme_is_no_credential_of_ours(value):
    assert token(("authorization", value)) is None


@pytest.mark.parametrize("second", [f"Bearer {TOKEN}", "Basic abc", "", f"Bearer {MARK}"])
def test_a_second_header_is_refused_even_where_it_says_the_same(second):
    first = ("authorization", f"Bearer {TOKEN}")
    refused("ambiguous_credential", first, ("authorization", second))
    refused("ambiguous_credential", ("Authorization", second), first)


def outcome(value):
    """Return the token of an ``Authorization``, or the code of its refusal as bytes."""
    try:
        return token((b"authorization", value))
    except NotAuthenticated as error:
        return error.code.encode()


@given(st.binary(max_size=40))
def test_any_token_is_read_as_it_stands_or_refused(value):
    found = outcome(b"Bearer " + value)
    assert found == b"malformed_token" or found.encode() == value.strip(b" \t")


@given(st.binary(max_size=40))
def test_only_what_begins_with_the_scheme_is_read_or_refused(value):
    begins = value.strip(b" \t").lower().startswith(b"bearer")
    assert outcome(value) is None or begins


# A header of its own


def test_a_header_of_its_own_is_read_where_it_is_named():
    header = ("X-API-Key", "gr_abc")
    assert token(header) is None
    assert token(header, api_key_header="x-api-key") == "gr_abc"
    assert token(header, ("authorization", "Basic abc"), api_key_header="X-Api-Key") == "gr_abc"


def test_a_key_and_a_token_are_refused():
    options = {"api_key_header": "x-api-key"}
    pair = ("authorization", f"Bearer {TOKEN}"), ("x-api-key", "gr_abc")
    refused("ambiguous_credential", *pair, options=options)
    refused("ambiguous_credential", pair[1], pair[1], options=options)


@pytest.mark.parametrize("value", [b"gr_ x", b"gr_\xff", b"gr_\x7f", b"g" * (LIMIT_BYTES + 1)])
def test_a_malformed_key_is_refused(value):
    refused("malformed_token", (b"x-api-key", value), options={"api_key_header": "x-api-key"})


def test_an_attestation_comes_once():
    reader = CredentialReader(attestation_header="X-Attestation")
    assert reader.read(http(("x-attestation", "abc"))).attestation == "abc"
    options = {"attestation_header": "x-attestation"}
    refused("ambiguous_credential", *[("x-attestation", "a")] * 2, options=options)
    refused("malformed_token", (b"x-attestation", b"\xc3"), options=options)


def test_what_was_brought_does_not_show():
    reader = CredentialReader(attestation_header="a")
    brought = reader.read(http(("authorization", f"Bearer {MARK}"), ("a", MARK)))
    assert MARK not in repr(brought)


# Certificates


def chain(**tls):
    return CredentialReader().read(http(extensions={"tls": tls})).certificate


def test_a_chain_comes_leaf_first_as_the_server_has_it():
    assert chain(client_cert_chain=[PEM, "other"]) == (PEM.encode(), b"other")
    assert chain(client_cert_chain=(item for item in [PEM])) == (PEM.encode(),)


@pytest.mark.parametrize(
    "tls",
    [
        {},
        {"client_cert_chain": None},
        {"client_cert_chain": []},
        {"client_cert_name": "CN=clara"},
        {"client_cert_error": None},
        {"client_cert_error": ""},
    ],
)
def test_no_chain_is_no_certificate(tls):
    assert chain(**tls) == ()


@pytest.mark.parametrize(
    "tls",
    [
        {"client_cert_error": "expired"},
        {"client_cert_error": MARK, "client_cert_chain": [PEM]},
        {"client_cert_chain": [PEM.encode()]},
        {"client_cert_chain": [None]},
        {"client_cert_chain": [PEM] * (LIMIT_CERTIFICATES + 1)},
    ],
)
def test_a_chain_that_the_server_does_not_vouch_for_is_refused(tls):
    refused("unverified_certificate", extensions={"tls": tls})


def test_a_certificate_is_never_taken_from_a_header():
    headers = [("client-cert", ":abc:"), ("x-forwarded-client-cert", PEM), ("x-client-cert", "a")]
    brought = CredentialReader(trusted_proxies=["0.0.0.0/0"]).read(http(*headers))
    assert brought.certificate == ()


# The peer


@pytest.mark.parametrize(
    ("scope", "tls"),
    [
        ({"scheme": "https"}, True),
        ({"scheme": "wss"}, True),
        ({"scheme": "http"}, False),
        ({"scheme": "http", "extensions": {"tls": {}}}, True),
    ],
)
def test_whether_the_connection_is_encrypted_comes_from_the_server(scope, tls):
    assert CredentialReader().read(http(("x-forwarded-proto", "https"), **scope)).peer.tls is tls


@pytest.mark.parametrize(
    ("client", "ip"),
    [
        (("192.0.2.1", 80), "192.0.2.1"),
        (["192.0.2.1", 80], "192.0.2.1"),
        (("::ffff:192.0.2.1", 80), "192.0.2.1"),
        (("2001:DB8::0001", 80), "2001:db8::1"),
        (("fe80::1%eth0", 80), "fe80::1"),
        (("testclient", 80), None),
        (("", 0), None),
        (None, None),
    ],
)
def test_the_address_is_the_direct_peers(client, ip):
    headers = ("x-forwarded-for", "203.0.113.9"), ("forwarded", "for=203.0.113.9")
    peer = CredentialReader().read(http(*headers, client=client)).peer
    assert peer == Peer(tls=False, ip=ip)


PROXIES = ["10.0.0.0/8", "2001:db8::1", "127.0.0.1"]


@pytest.mark.parametrize(
    ("client", "forwarded", "ip"),
    [
        # The peer is no proxy of ours: what it says of others is not believed.
        ("198.51.100.7", ["203.0.113.9"], "198.51.100.7"),
        ("198.51.100.7", ["203.0.113.9, 10.0.0.1"], "198.51.100.7"),
        # It is one.
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("2001:db8::1", ["203.0.113.9"], "203.0.113.9"),
        ("::ffff:10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9, 10.0.0.2, 10.0.0.3"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9:1234"], "203.0.113.9"),
        ("10.0.0.1", ["[2001:db8::99]:1234"], "2001:db8::99"),
        ("10.0.0.1", ["2001:db8::99"], "2001:db8::99"),
        # What stands before the last hop that is not ours came from the caller.
        ("10.0.0.1", ["1.2.3.4, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["10.0.0.9, 203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["1.2.3.4", "203.0.113.9", "10.0.0.2"], "203.0.113.9"),
        # All ours: the one that began.
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["10.0.0.2, 10.0.0.3"], "10.0.0.2"),
        # No address: nobody knows.
        ("10.0.0.1", ["unknown"], None),
        ("10.0.0.1", ["203.0.113.9, unknown"], None),
        ("10.0.0.1", ["203.0.113.9,"], None),
        ("10.0.0.1", ["203.0.113.9\xff"], None),
        ("10.0.0.1", ["\u0661.2.3.4".encode()], None),
    ],
)
def test_a_proxy_that_is_named_says_who_came_to_it(client, forwarded, ip):
    headers = [("X-Forwarded-For", value) for value in forwarded]
    scope = http(*headers, client=(client, 80))
    assert CredentialReader(trusted_proxies=PROXIES).read(scope).peer.ip == ip
