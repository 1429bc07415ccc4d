"""The OpenID provider of the examples and tests behaves as a real one."""

import ssl
import time
from urllib.parse import parse_qs, urlsplit
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

import jwt
import pytest
from authlib.integrations.base_client import OAuthError
from authlib.oidc.discovery import OpenIDProviderMetadata
from requests.exceptions import ConnectionError as ConnectionRefused
from requests.exceptions import ReadTimeout

from examples.oidc_provider import OidcProvider

DISCOVERY = "/.well-known/openid-configuration"
VERIFIER = "v" * 64


def get(sso, path, **options):
    """Return an answer, and its body unless it is streamed."""
    with sso.session() as session:
        return session.get(f"{sso.issuer}{path}", withhold_token=True, **options)


def published(sso):
    return {key["kid"]: key for key in get(sso, "/jwks").json()["keys"]}


def kid(token):
    return jwt.get_unverified_header(token)["kid"]


def claims(sso, token, *, audience="scoring"):
    """Verify with nothing of ours and nothing of the provider's but its published keys."""
    header = jwt.get_unverified_header(token)
    key = jwt.PyJWK(published(sso)[header["kid"]])
    return jwt.decode(
        token,
        key.key,
        algorithms=[header["alg"]],
        audience=audience,
        issuer=sso.issuer,
        options={"require": ["exp", "iat", "sub", "jti"]},
    )


def ask_for_a_code(sso, user="clara", **options):
    """Return what the browser is sent back with."""
    with sso.session(scope="openid") as session:
        address, _ = session.create_authorization_url(f"{sso.issuer}/authorize", **options)
        answer = session.post(
            address, data={"user": user}, allow_redirects=False, withhold_token=True
        )
    return {
        name: value[0]
        for name, value in parse_qs(urlsplit(answer.headers["Location"]).query).items()
    }


def redeem(sso, code, verifier):
    with sso.session() as session:
        return session.fetch_token(
            grant_type="authorization_code",
            code=code,
            code_verifier=verifier,
            redirect_uri="https://app.example/signed-in",
        )


# Logging in


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256"])
def test_tokens_hold_under_the_published_keys(sso, algorithm):
    sso.rotate(algorithm=algorithm)
    tokens = sso.login(
        "clara", scope="openid score", roles=["clinician"], dept="oncology", amr=["pwd", "mfa"]
    )
    access = claims(sso, tokens.access)
    assert jwt.get_unverified_header(tokens.access) == {
        "typ": "at+jwt",
        "alg": algorithm,
        "kid": kid(tokens.id),
    }
    assert {name: access[name] for name in ("sub", "roles", "dept", "amr", "scope")} == {
        "sub": "clara",
        "roles": ["clinician"],
        "dept": "oncology",
        "amr": ["pwd", "mfa"],
        "scope": "openid score",
    }
    assert access["realm_access"] == {"roles": ["clinician"]}
    assert access["client_id"] == "app"
    assert abs(access["auth_time"] - time.time()) < 60
    assert access["exp"] - access["iat"] == tokens.expires_in == 300

    identity = claims(sso, tokens.id, audience="app")
    assert identity["sub"] == "clara"
    assert identity["roles"] == ["clinician"]
    assert identity["nonce"]
    assert identity["jti"] != access["jti"]


def test_what_is_said_of_a_person_can_be_anything(sso):
    bare = claims(sso, sso.login("clara", scope="score", roles=None, amr=()).access)
    assert not {"roles", "realm_access", "dept", "amr"} & bare.keys()
    odd = sso.login("clara", claims={"roles": 7, "sub": ["a"], "iss": "https://other.example"})
    said = jwt.decode(odd.access, options={"verify_signature": False})
    assert (said["roles"], said["sub"], said["iss"]) == (7, ["a"], "https://other.example")


def test_a_token_without_openid_has_none_beside_it(sso):
    assert sso.login("clara", scope="score").id == ""


def test_a_token_can_be_born_expired(sso):
    with pytest.raises(jwt.ExpiredSignatureError):
        claims(sso, sso.login("clara", lifetime_s=-1).access)


def test_tokens_are_not_shown(sso):
    tokens = sso.login("clara")
    assert tokens.access not in repr(tokens)
    assert tokens.refresh not in repr(tokens)


def test_discovery_says_what_openid_connect_asks_for(sso):
    document = get(sso, DISCOVERY).json()
    OpenIDProviderMetadata(document).validate()
    assert document["issuer"] == sso.issuer
    assert document["jwks_uri"] == sso.jwks_uri


def test_only_the_public_half_of_a_key_is_published(sso):
    sso.rotate(algorithm="EdDSA")
    sso.rotate(algorithm="ES256")
    sso.rotate(algorithm="RS256")
    for key in published(sso).values():
        assert key["use"] == "sig"
        assert not {"d", "p", "q", "k"} & key.keys()


# Refusals


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"code_challenge": VERIFIER, "code_challenge_method": "plain"},
        {"code_challenge": VERIFIER},
        {"code_challenge_method": "S256"},
    ],
    ids=["none", "plain", "no method", "no challenge"],
)
def test_no_code_without_pkce(sso, options):
    sso.login("clara")
    answer = ask_for_a_code(sso, **options)
    assert answer["error"] == "invalid_request"
    assert "code" not in answer


@pytest.mark.parametrize("verifier", ["w" * 64, None])
def test_no_token_for_another_verifier(sso, verifier):
    sso.login("clara")
    answer = ask_for_a_code(sso, code_verifier=VERIFIER)
    with pytest.raises(OAuthError):
        redeem(sso, answer["code"], verifier)
    with pytest.raises(OAuthError):  # it was used up by the attempt
        redeem(sso, answer["code"], VERIFIER)


def test_a_code_is_redeemed_once(sso):
    sso.login("clara")
    answer = ask_for_a_code(sso, code_verifier=VERIFIER)
    assert redeem(sso, answer["code"], VERIFIER)["access_token"]
    with pytest.raises(OAuthError, match="invalid_grant"):
        redeem(sso, answer["code"], VERIFIER)


def test_no_code_for_a_stranger(sso):
    assert ask_for_a_code(sso, user="mallory", code_verifier=VERIFIER)["error"] == "access_denied"


def test_no_token_for_a_wrong_secret(sso):
    with sso.session() as session:
        session.client_secret = "wrong"
        with pytest.raises(OAuthError, match="invalid_client"):
            session.fetch_token(grant_type="client_credentials")


def test_who_does_not_trust_the_ca_gets_no_answer(sso, tmp_path):
    with OidcProvider(folder=tmp_path / "other") as other:
        assert other.ca_pem != sso.ca_pem
        context = ssl.create_default_context(cadata=other.ca_pem.decode())
        signature_check_for = build_opener(ProxyHandler({}), HTTPSHandler(context=context))
        with signature_check_for.open(other.jwks_uri) as answer:
            assert answer.status == 200
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            signature_check_for.open(sso.jwks_uri)
        other.stop()
        with OidcProvider(folder=tmp_path / "other") as again:
            assert again.ca_pem == other.ca_pem


# Other ways to a token, and to its end


def test_a_refresh_token_is_used_once(sso):
    first = sso.login("clara", roles=["clinician"])
    second = sso.refresh(first.refresh)
    assert claims(sso, second.access)["roles"] == ["clinician"]
    with pytest.raises(OAuthError, match="invalid_grant"):
        sso.refresh(first.refresh)


def test_a_program_gets_a_token_of_its_own(sso):
    said = claims(sso, sso.client_token("batch", scope="score", roles=["robot"]).access)
    assert (said["sub"], said["client_id"], said["roles"]) == ("batch", "batch", ["robot"])
    assert "auth_time" not in said
    assert "act" not in said


def test_exchange_says_who_acts_for_whom(sso):
    person = sso.login("clara", scope="openid score", roles=["clinician"])
    first = sso.exchange(person.access, actor="agent", scope="score")
    said = claims(sso, first.access)
    assert (said["sub"], said["act"]) == ("clara", {"sub": "agent"})
    assert (said["scope"], said["roles"]) == ("score", ["clinician"])
    second = claims(
        sso, sso.exchange(first.access, actor="tool", audience="tools").access, audience="tools"
    )
    assert second["act"] == {"sub": "tool", "act": {"sub": "agent"}}
    assert second["exp"] <= claims(sso, person.access)["exp"]


def test_exchange_widens_nothing(sso):
    person = sso.login("clara", scope="score")
    with pytest.raises(OAuthError, match="invalid_scope"):
        sso.exchange(person.access, actor="agent", scope="score admin")
    with pytest.raises(OAuthError, match="invalid_grant"):
        sso.exchange("no.such.token", actor="agent")


def test_what_is_revoked_is_not_active(sso):
    person = sso.login("clara")
    assert sso.introspect(person.access)["sub"] == "clara"
    sso.revoke(person.access)
    assert sso.introspect(person.access) == {"active": False}
    with pytest.raises(OAuthError, match="invalid_grant"):
        sso.refresh(person.refresh)
    with pytest.raises(OAuthError, match="invalid_grant"):
        sso.exchange(person.access, actor="agent")


def test_a_client_revokes_its_own_tokens_only(sso):
    person, _ = sso.login("clara"), sso.client_token("batch")
    with sso.session("batch") as session:
        answer = session.revoke_token(f"{sso.issuer}/revoke", token=person.access)
    assert answer.status_code == 400
    assert sso.introspect(person.access)["active"]


# Rotation


def test_rotation_that_keeps_the_old_key(sso):
    before = sso.login("clara").access
    new = sso.rotate()
    after = sso.login("clara").access
    assert kid(after) == new != kid(before)
    assert claims(sso, before)["sub"] == claims(sso, after)["sub"]


def test_rotation_that_drops_the_old_key(sso):
    before = sso.login("clara").access
    new = sso.rotate(keep_old=False)
    assert list(published(sso)) == [new]
    assert kid(before) != new


# Misbehaviour


def test_hang_never_answers(sso):
    sso.misbehave("hang")
    with pytest.raises(ReadTimeout):
        get(sso, "/jwks", timeout=0.3)
    assert get(sso, DISCOVERY).ok
    sso.behave()
    assert published(sso)


def test_drip_gives_a_byte_a_second(sso):
    sso.misbehave("drip")
    began = time.monotonic()
    with sso.session() as session:
        answer = session.get(sso.jwks_uri, withhold_token=True, stream=True)
        drops = answer.iter_content(1)
        assert next(drops) + next(drops) == b'{"'
        answer.close()
    assert int(answer.headers["Content-Length"]) > 100
    assert 0.9 < time.monotonic() - began < 60  # all bytes take longer


def test_huge_is_a_hundred_megabytes(sso):
    sso.misbehave("huge")
    with sso.session() as session:
        answer = session.get(sso.jwks_uri, withhold_token=True, stream=True)
        assert answer.headers["Transfer-Encoding"] == "chunked"
        sizes = [len(block) for block in answer.iter_content(1024 * 1024)]
    assert sum(sizes) > 100_000_000


def test_status_rubbish_and_private_are_what_they_say(sso):
    sso.misbehave("status")
    assert get(sso, "/jwks").status_code == 500
    sso.misbehave("rubbish")
    assert get(sso, "/jwks").text.startswith("<html>")
    sso.misbehave("private")
    assert all(key["d"] for key in published(sso).values())


def test_redirect_leads_elsewhere_and_shows_who_follows(sso):
    sso.misbehave("redirect")
    before = sso.hits("/elsewhere")
    assert get(sso, "/jwks", allow_redirects=False).status_code == 302
    assert sso.hits("/elsewhere") == before
    assert get(sso, "/jwks").json()["keys"]
    assert sso.hits("/elsewhere") == before + 1


def test_wrong_issuer_is_in_the_discovery_document(sso):
    sso.misbehave("wrong_issuer")
    document = get(sso, DISCOVERY).json()
    assert document["issuer"] != sso.issuer
    assert document["jwks_uri"] == sso.jwks_uri
    assert published(sso)


def test_discovery_can_go_wrong_alone(sso):
    sso.misbehave("status", at="discovery")
    assert get(sso, DISCOVERY).status_code == 500
    assert published(sso)


def test_down_refuses_and_comes_up_at_the_same_port(sso):
    with sso.session() as session:
        assert session.get(sso.jwks_uri, withhold_token=True).ok
        sso.misbehave("down")
        with pytest.raises(ConnectionRefused):  # the open connection is cut too
            session.get(sso.jwks_uri, withhold_token=True)
    sso.misbehave("down")
    with pytest.raises(ConnectionRefused, match="refused"):
        get(sso, "/jwks")
    sso.behave()
    assert published(sso)


def test_an_unknown_misbehaviour_is_refused(sso):
    with pytest.raises(ValueError, match="expected one of hang"):
        sso.misbehave("sulk")


def test_hits_are_counted_by_path(sso):
    before = sso.hits("/jwks"), sso.hits(DISCOVERY)
    get(sso, "/jwks")
    get(sso, "/jwks")
    assert (sso.hits("/jwks"), sso.hits(DISCOVERY)) == (before[0] + 2, before[1])


def test_it_does_not_outlive_who_started_it(tmp_path):
    with OidcProvider(folder=tmp_path) as provider:
        child = provider._process._child
        child.stdin.close()  # as the end of this process would
        assert child.wait(10) == 0
        with pytest.raises(ValueError, match="closed"):
            provider.rotate()
    with pytest.raises(RuntimeError, match="Start it first"):
        provider.rotate()


def test_one_that_does_not_start_says_why(tmp_path):
    with (
        pytest.raises(RuntimeError, match="expected one of RS256"),
        OidcProvider(folder=tmp_path, algorithm="none"),
    ):
        pass
