"""Published keys: fetched rarely, kept through outages, never replaced by invalid ones."""

import json
import threading

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from key_sets import (
    CONFIGURATION,
    ISSUER,
    JWKS,
    NOW,
    OTHER,
    RSA,
    Provider,
    jwk,
    jwks,
    keyring,
)

from guardrail.errors import NotAuthenticated
from guardrail.identity.providers import PendingIdentity, resolve_or_defer
from guardrail.identity.tokens.keys import BadKey, read_keys, read_published


def find(keys, kid, now, algorithm="ES256"):
    """Find a key as the flow does: fetch once where that is asked for."""
    found = resolve_or_defer(lambda: keys.find(kid, algorithm, now))
    return found.resolve() if isinstance(found, PendingIdentity) else found


def code(keys, kid, now, algorithm="ES256"):
    with pytest.raises(NotAuthenticated) as caught:
        find(keys, kid, now, algorithm)
    return caught.value.code


def resolve(keys):
    """Wait for what is fetched in the background."""
    if keys._fetching is not None:
        keys._fetching.join(5)


def test_keys_are_found_by_the_issuers_own_configuration():
    provider = Provider()
    keys = keyring(provider)
    assert find(keys, "a", NOW).kid == "a"
    assert provider.asked == [CONFIGURATION, JWKS]
    assert find(keys, "a", NOW + 299).kid == "a"
    assert provider.fetches == 1


def test_an_address_that_is_configured_is_the_only_one_asked():
    provider = Provider()
    assert find(keyring(provider, jwks=JWKS), "a", NOW).kid == "a"
    assert provider.asked == [JWKS]


@pytest.mark.parametrize(
    "stated",
    [
        {"issuer": ISSUER + "/", "jwks_uri": JWKS},
        {"issuer": "https://evil.example", "jwks_uri": JWKS},
        {"jwks_uri": JWKS},
        {"issuer": ISSUER},
        {"issuer": ISSUER, "jwks_uri": "http://sso.example/keys"},
        {"issuer": ISSUER, "jwks_uri": "file:///keys"},
        {"issuer": ISSUER, "jwks_uri": [JWKS]},
        [],
    ],
    ids=str,
)
def test_a_configuration_of_another_issuer_or_address_is_not_followed(stated):
    provider = Provider()
    provider.documents[CONFIGURATION] = json.dumps(stated).encode()
    keys = keyring(provider)
    assert code(keys, "a", NOW) == "provider_unavailable"
    assert provider.fetches == 0
    assert keys.complaint


def test_a_new_key_is_fetched_when_a_token_names_it():
    provider = Provider()
    keys = keyring(provider)
    find(keys, "a", NOW)
    provider.documents[JWKS] = jwks(jwk(kid="a"), jwk(RSA, kid="b"))
    assert find(keys, "b", NOW + 1, "RS256").kid == "b"
    assert provider.fetches == 2


def test_a_flood_of_unknown_keys_causes_one_fetch_in_an_interval():
    provider = Provider()
    keys = keyring(provider)
    find(keys, "a", NOW)
    for number in range(10_000):
        assert code(keys, f"x{number}", NOW + 30 + number / 1000) == "unknown_key"
    assert provider.fetches == 2
    assert code(keys, "x", NOW + 60) == "unknown_key"
    assert provider.fetches == 3


def test_a_flood_on_many_threads_causes_one_fetch():
    provider = Provider()
    provider.waits = threading.Event()
    keys = keyring(provider)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(find(keys, "a", NOW).kid)) for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    provider.waits.set()
    for thread in threads:
        thread.join(10)
    assert found == ["a"] * 16
    assert provider.fetches == 1


def test_keys_live_through_an_outage_and_not_for_ever():
    provider = Provider()
    keys = keyring(provider)
    find(keys, "a", NOW)
    provider.down = True
    for second in range(0, 3900, 10):
        assert keys.find("a", "ES256", NOW + second).kid == "a"
        resolve(keys)
    assert provider.fetches <= 2 + 3900 / 30
    assert code(keys, "a", NOW + 3900) == "provider_unavailable"
    provider.down = False
    assert find(keys, "a", NOW + 3931).kid == "a"


def test_a_refresh_never_makes_a_call_wait():
    provider = Provider()
    keys = keyring(provider)
    find(keys, "a", NOW)
    provider.waits = threading.Event()
    assert keys.find("a", "ES256", NOW + 300).kid == "a"  # the fetch hangs, beside
    assert keys._fetching.is_alive()
    provider.waits.set()
    resolve(keys)
    assert provider.fetches == 2


def test_a_key_that_is_withdrawn_is_gone_with_the_next_refresh():
    provider = Provider()
    keys = keyring(provider)
    find(keys, "a", NOW)
    provider.documents[JWKS] = jwks(jwk(RSA, kid="b"))
    assert keys.find("a", "ES256", NOW + 300).kid == "a"
    resolve(keys)
    assert code(keys, "a", NOW + 301) == "unknown_key"


RUBBISH = [
    b"", b"[]", b"{}", b"null", b'{"keys": {}}', b'{"keys": []}', b'{"keys": [7]}', b"<html>",
    b"\xff\xfe", b"[" * 100_000, b'{"keys": [], "keys": []}',
    jwks(jwk(kid="a", use="enc")), jwks(jwk(kid="a", key_ops=["sign"])),
    jwks(jwk(kid="a", alg="RS256")),
    jwks(jwk(kid=7)), jwks(jwk(kid="a"), jwk(OTHER, kid="a")), jwks(jwk(kid="a", crv="P-384")),
    jwks({"kty": "oct", "k": "c2VjcmV0", "kid": "a"}), jwks(jwk(kid="a", d="AAAA")),
    jwks(jwk(kid="a", x="AAAA")), jwks(*[jwk(kid=str(n)) for n in range(101)]),
]  # fmt: skip


@pytest.mark.parametrize("raw", RUBBISH, ids=range(len(RUBBISH)))
def test_rubbish_never_takes_the_place_of_good_keys(raw):
    provider = Provider()
    keys = keyring(provider)
    find(keys, "a", NOW)
    good, provider.documents[JWKS] = provider.documents[JWKS], raw
    assert keys.find("a", "ES256", NOW + 301).kid == "a"
    resolve(keys)
    assert keys.complaint
    assert keys.find("a", "ES256", NOW + 302).kid == "a"
    provider.documents[JWKS] = good
    assert code(keyring(Provider_of(raw)), "a", NOW) == "provider_unavailable"


def Provider_of(raw):
    provider = Provider()
    provider.documents[JWKS] = raw
    return provider


def test_what_is_not_for_us_is_left_out_and_the_rest_holds():
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505  to be left out
    raw = jwks(
        jwk(kid="a"),
        jwk(RSA, kid="e", use="enc"),
        jwk(weak, kid="w"),
        {"kty": "future", "kid": "f"},
        jwk(kid="p", d="AAAA"),
    )
    keys = read_published(raw, ("ES256", "RS256"))
    assert keys.find("a", "ES256").kid == "a"
    for kid in "ewfp":
        assert keys.find(kid, "RS256") is keys.find(kid, "ES256") is None


@pytest.mark.parametrize("now", [float("nan"), NOW - 1, float("-inf"), float("inf")])
def test_a_clock_that_makes_no_sense_finds_no_key(now):
    provider = Provider()
    keys = keyring(provider)
    find(keys, "a", NOW)
    provider.down = True
    assert code(keys, "a", now) in {"provider_unavailable", "unknown_key"}


def test_a_token_without_a_name_means_the_only_key_that_fits():
    one = read_published(jwks(jwk(kid="a"), jwk(RSA, kid="b")), ("ES256", "RS256"))
    assert (one.find(None, "ES256").kid, one.find(None, "RS256").kid) == ("a", "b")
    two = read_published(jwks(jwk(kid="a"), jwk(kid="b")), ("ES256",))
    assert two.find(None, "ES256") is None


def test_an_algorithm_of_a_key_is_what_it_says_itself():
    keys = read_published(jwks(jwk(RSA, kid="b", alg="RS512")), ("RS256", "RS512", "PS256"))
    assert keys.find("b", "RS512") is not None
    assert keys.find("b", "RS256") is keys.find("b", "PS256") is None


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (json.dumps(jwk(use="enc")).encode(), "not for signatures"),
        (json.dumps(jwk(key_ops=["sign"])).encode(), "may not verify"),
        (json.dumps(jwk(d="AAAA")).encode(), "private"),
        (json.dumps({"kty": "oct", "k": "AAAA"}).encode(), "secret"),
        (jwks(jwk(kid="a"), {"kty": "future"}), "kty"),
        (jwks(), "no key"),
        (jwks(jwk(RSA)), "no key for ES256"),
    ],
    ids=range(7),
)
def test_a_file_of_keys_is_refused_whole(raw, says):
    with pytest.raises(BadKey, match=says):
        read_keys(raw, ["ES256"] if says != "no key for ES256" else ["ES256", "RS256"])


def test_a_file_may_hold_a_jwk_or_a_set():
    assert read_keys(json.dumps(jwk()).encode(), ["ES256"]).find(None, "ES256")
    keys = read_keys(jwks(jwk(kid="a"), jwk(RSA, kid="b")), ["ES256", "RS256"])
    assert keys.find("a", "ES256")
    assert keys.find("b", "RS256")
    assert keys.find("c", "ES256") is None
