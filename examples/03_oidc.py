"""Single sign-on in one file: a guard that takes its keys from an OpenID Connect provider.

Run it in a checkout: ``python examples/03_oidc.py``. It needs ``guardrail-cedar[test]``, for it
starts a provider of its own on loopback (``oidc_provider``, beside it). It logs in and calls;
the provider rotates its key and it calls again; it revokes the token and is refused. Each step
prints what came out, and the exit status is 0 only where all of it is as it should be.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from oidc_provider import OidcProvider

from guardrail import Denied, Guard

#: An unknown key has the guard ask the provider, once in this time: more would be a flood.
INTERVAL_S = 1.0

SETTINGS = """\
[bundle]
name = "scoring"
version = "1.0.0"

[identity.sso]
type = "oidc"
issuer = "{issuer}"
audience = "{audience}"
algorithms = ["RS256"]
ca_file = "ca.pem"
unknown_key_interval_s = {interval_s}
principal = {{ type = "User", id = "sub", in.Role = "roles" }}
"""
SCHEMA = """\
entity Role enum ["clinician", "analyst"];
entity User in [Role];
entity Model;
action predict appliesTo { principal: [User], resource: [Model], context: {} };
"""
POLICIES = """\
@id("clinicians-may-score")
permit (
  principal in Role::"clinician",
  action == Action::"predict",
  resource == Model::"tumour"
);
"""
ENTITIES = [
    {"uid": {"type": kind, "id": name}, "attrs": {}, "parents": []}
    for kind, name in [("Role", "clinician"), ("Role", "analyst"), ("Model", "tumour")]
]


def write_bundle(folder: Path, sso: OidcProvider) -> None:
    """Write a bundle that trusts one provider, and that provider's CA alone."""
    for name, text in {
        "guardrail.toml": SETTINGS.format(
            issuer=sso.issuer, audience=sso.audience, interval_s=INTERVAL_S
        ),
        "schema.cedarschema": SCHEMA,
        "policies.cedar": POLICIES,
        "entities.json": json.dumps(ENTITIES),
        "ca.pem": sso.ca_pem.decode("ascii"),
    }.items():
        (folder / name).write_text(text, encoding="utf-8")


def play(guard: Guard, sso: OidcProvider) -> bool:
    """Play the steps, and return whether each came out as it should."""

    @guard.protect(action="predict", resource='Model::"tumour"')
    def predict() -> float:
        return 0.87

    def call(token: str) -> str:
        try:
            with guard.acting_as(token=token):
                return f"{predict()}"
        except Denied as denial:
            return denial.code

    def step(name: str, came_out: str, expected: str) -> bool:
        print(f"{name:26} {came_out}")
        return came_out == expected

    def login(role: str) -> str:
        return sso.login("clara", roles=[role]).access

    as_it_should = []
    token = login("clinician")
    as_it_should.append(step("clara logs in, and calls", call(token), "0.87"))
    as_it_should.append(step("as an analyst", call(login("analyst")), "no_grant"))

    sso.rotate(keep_old=False)
    time.sleep(1.1 * INTERVAL_S)  # so that the guard may ask again
    token = login("clinician")
    as_it_should.append(step("under a new key", call(token), "0.87"))

    guard.revoke(token_id=sso.introspect(token)["jti"])
    as_it_should.append(step("revoked", call(token), "revoked"))
    as_it_should.append(step("after another login", call(login("clinician")), "0.87"))
    return all(as_it_should)


def main() -> int:
    """Start a provider, load a guard that trusts it, and play."""
    with OidcProvider(audience="scoring") as sso, tempfile.TemporaryDirectory() as folder:
        write_bundle(Path(folder), sso)
        return 0 if play(Guard.from_dir(folder), sso) else 1


if __name__ == "__main__":
    sys.exit(main())
