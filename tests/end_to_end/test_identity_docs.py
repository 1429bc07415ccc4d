"""Every configuration that the documentation shows loads as it stands, and says what it says."""

import json
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

import guardrail
from guardrail._documents import read_toml
from guardrail.identity import read_providers
from guardrail.identity.revocation import read_revoked
from guardrail.identity.settings import OidcSettings

TEXT = (Path(guardrail.__file__).parents[1] / "docs/identity.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
PROVIDERS = [block for block in BLOCKS if "[identity." in block]


def files(ca_pem):
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    member = ECAlgorithm.to_jwk(key, as_dict=True)
    return {
        "partner.jwks.json": json.dumps({"keys": [{**member, "kid": "1"}]}).encode(),
        "roots.pem": ca_pem,
        "keys.json": b"[]",
    }


def load(text, ca_pem):
    document = read_toml("guardrail.toml", text.encode()).below("identity")
    environ = {"GUARDRAIL_KEYS_SECRET": "0123456789abcdef" * 4}
    return read_providers(document, files=files(ca_pem), environ=environ)


def test_there_is_one_of_each_kind():
    kinds = {line for block in PROVIDERS for line in block.splitlines() if line.startswith("type")}
    assert kinds == {f'type = "{kind}"' for kind in ("oidc", "jwt", "mtls", "api_key")}


@pytest.mark.parametrize("block", PROVIDERS, ids=range(len(PROVIDERS)))
def test_each_provider_loads_alone(block, sso):
    providers = load(block, sso.ca_pem)
    assert providers.tokens or providers.by_form or providers.certificates


def test_all_providers_load_together_and_their_ids_are_apart(sso):
    providers = load("\n".join(PROVIDERS), sso.ca_pem)
    assert {found.prefix.own for found in providers.tokens.values()} == {
        "hospital#", "partner#", "pool#", "realm#",
    }  # fmt: skip


def test_the_table_of_keys_is_the_settings():
    output = set(re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE))
    assert output == set(OidcSettings.model_fields) - {"type"}
    for name, default in re.findall(r"^\| `(\w+)` \| (\d+) \|", TEXT, re.MULTILINE):
        assert OidcSettings.model_fields[name].default == float(default), name


def test_the_file_of_revocations_reads_as_shown():
    (shown,) = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
    revoked = read_revoked(shown.encode())
    assert revoked.tokens == {"2f1c7a60"}
    assert revoked.subjects == {"clara": 1_800_000_000}
