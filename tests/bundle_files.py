"""Every kind of file that people write: valid ones, and what the loader's models say of one."""

from __future__ import annotations

import copy
import tempfile
from datetime import UTC, datetime
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

import jsonschema_rs
from ruamel.yaml import YAML

from guardrail._documents import Document, read_yaml
from guardrail.audit import read_audit
from guardrail.cli.io import authzen, request_document
from guardrail.cli.io.file_schemas import schema_of
from guardrail.cli.io.files import Files
from guardrail.errors import ConfigurationError
from guardrail.facts import Bounds, read_detectors
from guardrail.identity.attestation.formats import FORMATS
from guardrail.identity.attestation.settings import read_evidence
from guardrail.identity.load import read_tables
from guardrail.obligations import open_storage
from guardrail.obligations.input.specs import read_spec
from guardrail.obligations.output.spec import read_output_specs
from guardrail.policy import BundleSettings, CheckSettings, ResourceSettings
from guardrail.policy.source.links import read_links
from guardrail.testing import FrozenClock
from guardrail.testing.files.cases import InvalidTest, read_suite
from guardrail.testing.files.yaml_values import TAGS, uid_at
from guardrail.testing.properties.format import InvalidProperty


@cache
def validator(kind: Files) -> jsonschema_rs.Draft7Validator:
    """Return the validator of the schema of one kind of files."""
    return jsonschema_rs.validator_for(schema_of(kind))


JWT = {
    "type": "jwt",
    "issuer": "https://sso.example",
    "audience": ["scoring"],
    "algorithms": ["ES256"],
    "key_file": "keys/hospital.pem",
    "principal": {
        "type": "User", "id": "sub", "id_prefix": "sso",
        "in": {
            "Role": "realm.roles",
            "App::Team": ["a.b", "teams"],
            "Group": {"claim": "groups", "optional": True},
            "Scope": [{"claim": "scope", "split": " "}, {"claim": ["a.b", "scp"]}],
        },
        "attrs": {"department": "dept"},
    },
}  # fmt: skip
SHARED = {
    **{name: value for name, value in JWT.items() if name != "key_file"},
    "algorithms": ["HS256", "HS512"],
    "secret_env": "TOKEN_SECRET",
    "audience": "scoring",
}
OIDC = {
    "type": "oidc",
    "issuer": "https://sso.example/realm",
    "audience": "scoring",
    "algorithms": ["RS256"],
    "principal": {"type": "User"},
    "jwks": "https://sso.example/keys",
    "leeway_s": 5,
    "audience_claim": "client_id",
    "claims": {"token_use": "access", "azp": ["a", "b"], "email_verified": True, "level": [1, 2.5]},
    "required": ["email", ["a", "b"]],
}
KEYS = {
    "type": "api_key",
    "id_prefix": "jobs",
    "keys_file": "api/keys.json",
    "secret_file": "/run/secret",
}
MTLS = {
    "type": "mtls",
    "ca_file": "roots.pem",
    "trust_domain": "example.org",
    "principal": {"type": "Workload", "in": {"Role": ["batch"]}},
}
PEER = {
    "about": "peer",
    "format": "confidential_space",
    "issuer": "https://confidentialcomputing.googleapis.com",
    "audience": "scoring",
    "algorithms": ["RS256"],
    "jwks": "https://example.org/keys",
}
HOST = {
    "about": "host",
    "format": "trust_authority",
    "token_file": "/run/token",
    "issuer": "https://portal.trustauthority.intel.com",
    "algorithms": ["PS384"],
    "key_file": "ita.pem",
    "tcb_status": ["UpToDate", "OutOfDate"],
}
BUNDLE = {"name": "a", "version": "1"}
CLARA = {"uid": 'User::"clara"', "in": ['Role::"clinician"'], "attrs": {"department": "x"}}
NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
TEST = {"name": "a", "as": "clara", "expect": "deny"}
TENSOR = {
    "kind": "tensor",
    "dtype": ["float32", "float64"],
    "shape": ["1..1000", 3],
    "columns": [{"name": "a", "min": 0, "max": 0.5}, {"names": "1..2", "max": 3}],
}
RECORD = {
    "kind": "record",
    "fields": {
        "age": {"type": "int", "min": 0, "max": 120, "one_of": [1, 2]},
        "weight": {"type": "float", "min": 0.5, "nullable": True},
        "name": {"type": "string", "max_chars": 80, "one_of": ["a"]},
        "ok": {"type": "bool"},
        "of": {"type": "record", "fields": {"x": {"type": "int"}}, "extra_fields": "ignore"},
        "all": {"type": "list", "items": {"type": "bool"}, "max_items": 3},
    },
    "extra_fields": "ignore",
}
TABLE = {
    "kind": "table",
    "rows": "0..100",
    "columns": {
        "a": {"type": "float64", "min": 0, "max": 1, "finite": False},
        "b": {"type": ["string"], "max_chars": 3, "one_of": ["a", "b"], "nullable": True},
        "c": {"type": ["timestamp", "bool"]},
    },
    "extra_columns": "ignore",
    "on_bad_row": "reject",
}
TEXT = {"kind": "text", "max_chars": 10, "min_chars": 1, "forbid": ["control", "bidi"]}
MESSAGES = {
    "kind": "messages", "min_messages": 1, "max_messages": 9, "roles": ["user", "assistant"],
    "first_role": "user", "last_role": "user", "max_chars": 5, "max_total_chars": 9, "forbid": [],
}  # fmt: skip
REQUEST = {
    "principal": CLARA,
    "action": "predict",
    "resource": 'Model::"tumour"',
    "facts": {"input": {"rows": 10}},
}
EVALUATION = {
    "subject": {
        "type": "User",
        "id": "clara",
        "properties": {"department": "x", "in": ['Role::"a"', {"type": "Role", "id": "b"}]},
    },
    "action": {"name": "predict", "properties": {}},
    "resource": {"type": "Model", "id": "tumour"},
    "context": {"input": {"rows": 10}},
}

#: Files that load, of every kind.
BASES: list[tuple[Files, Any]] = [
    (Files.settings, {"bundle": {**BUNDLE, "timezone": "Europe/Berlin"}}),
    (Files.settings, {"bundle": BUNDLE, "identity": {"a": JWT, "b": KEYS, "c": MTLS}}),
    (Files.settings, {"bundle": BUNDLE, "identity": {"a": OIDC, "revoked_file": "/run/r.json"}}),
    (Files.settings, {"bundle": BUNDLE, "identity": {"a": SHARED}}),
    (Files.settings, {"bundle": BUNDLE, "evidence": {"a": PEER, "b": HOST}}),
    (
        Files.settings,
        {
            "bundle": BUNDLE,
            "resources": {"unknown": "allow"},
            "check": {"allow": ["GR520"]},
            "quota": {"store": "memory", "when_unavailable": "deny"},
            "bounds": {"input_bytes": 1, "input_depth": 200, "findings": 5},
        },
    ),
    (
        Files.settings,
        {
            "bundle": BUNDLE,
            "audit": {
                "spans": "deferred", "events": "all", "journal": "/var/j", "durability": "each",
                "segment_bytes": 1 << 20, "keep": "90d", "compress": False, "principal": "id",
                "facts": ["input.rows"], "digests": ["input"], "key_file": "/k", "encrypt": True,
                "checkpoints": {"key_file": "/c.pem", "every_s": 5, "url": "https://a.example"},
            },
        },
    ),
    *((kind, spec) for kind in (Files.inputs, Files.outputs)
      for spec in (TENSOR, RECORD, TABLE, TEXT, MESSAGES)),
    (Files.outputs, {**TENSOR, "meaning": "probability", "classes": ["a", "b"]}),
    (Files.outputs, {**TEXT, "chunk": "choices[0].delta.content"}),
    (Files.links, None),
    (Files.links, [{"template": "share", "id": "l:1"},
                   {"template": "share", "id": "b", "principal": "x", "resource": "y"}]),
    (
        Files.tests,
        {
            "given": {
                "now": NOW, "action": "predict", "resource": 'Model::"tumour"',
                "principals": {"clara": CLARA}, "facts": {"input": {"rows": 1}},
            },
            "tests": [
                TEST,
                {
                    "name": "b", "principal": CLARA, "action": "explain", "now": NOW,
                    "resource": 'Model::"old"', "facts": {"app": {}},
                    "expect": {
                        "decision": "allow", "code": "allow", "policies": ["a"],
                        "obligations": {"round": 2}, "errors": [], "path": "", "reason": "",
                    },
                },
            ],
        },
    ),
    (
        Files.tests,
        {
            "tests": [{**TEST, "as": 'User::"x"', "action": "predict", "resource": 'Model::"m"'}],
            "given": None,
        },
    ),
    (Files.request, REQUEST),
    (Files.request, {"as": 'User::"x"', "action": "predict", "resource": 'Model::"m"'}),
    (Files.request, EVALUATION),
    (
        Files.request,
        {
            "action": {"name": "predict"},
            "evaluations": [
                {"subject": {"type": "User", "id": "x"}, "resource": {"type": "M", "id": "m"}},
                {**EVALUATION, "context": {}},
            ],
            "options": {"evaluations_semantic": "deny_on_first_deny"},
        },
    ),
    (
        Files.tests,
        {
            "given": {
                "action": "predict", "resource": 'Model::"m"', "principals": {"clara": CLARA},
            },
            "tests": [
                {
                    "name": "a", "as": "clara", "input": {"rows": {"zeros": [2, 3]}},
                    "output": [[0.5]], "expect": {"released": [[None]], "retry_after_s": 1.5},
                },
                {"name": "b", "as": "clara", "stream": ["a", "b"], "expect": {"released": "ab"}},
                {
                    "name": "c",
                    "steps": [
                        {"as": "clara", "times": 3, "expect": "allow"},
                        {
                            "principal": CLARA, "after": "61s", "facts": {"app": {}},
                            "expect": {"code": "quota_exceeded", "retry_after_s": 60},
                        },
                    ],
                },
                {
                    "name": "d",
                    "matrix": {
                        "actions": ["predict", "explain"], "resources": ['Model::"m"'],
                        "table": {"clara": {"predict": ["allow"], "explain": "no_grant"}},
                    },
                },
            ],
        },
    ),
    (
        Files.tests,
        {
            "properties": [
                {
                    "name": "a", "missing": True,
                    "never": {"allow": True, "when": {"principal": {"mfa": False}}},
                },
                {"name": "b", "always": {"obligations": ["round"], "errors": False}},
                {
                    "name": "c",
                    "implies": {
                        "if": {"action": "predict", "facts": {"input": {"rows": {"min": 3}}}},
                        "then": {"code": ["no_grant", "allow"], "policies": ["a"]},
                    },
                },
            ],
        },
    ),
    (
        Files.settings,
        {
            "bundle": BUNDLE,
            "detectors": {
                "employee_id": {
                    "pattern": r"EMP-\d{6}", "near": ["staff"], "examples": ["EMP-123456"],
                    "not": ["TEMP-123456"],
                },
                "room": {"pattern": "R[0-9]{3}"},
            },
        },
    ),
]  # fmt: skip


def as_yaml(data: Any) -> bytes:
    stream = StringIO()
    YAML(typ="safe", pure=True).dump(data, stream)
    return stream.getvalue().encode()


def in_json(data: Any) -> Any:
    """Return data as an editor has it: a time is the text that stands there."""
    if isinstance(data, dict):
        return {str(name): in_json(value) for name, value in data.items()}
    if isinstance(data, list):
        return [in_json(item) for item in data]
    return data.isoformat() if hasattr(data, "isoformat") else data


def of_yaml(file: str, raw: bytes) -> Any:
    """Return a YAML file as an editor has it: a tag of ours is the text that stands behind it."""
    return in_json(read_yaml(file, raw, tags=dict.fromkeys(TAGS, str)).data)


def takes(kind: Files, data: Any) -> bool:
    """Tell whether the schema takes a file."""
    return validator(kind).is_valid(in_json(data))


def loads(kind: Files, data: Any) -> bool:
    """Tell whether the loader takes a file, as far as it can be told by the file alone."""
    try:
        _LOADERS[kind](copy.deepcopy(data))
    except ConfigurationError:
        return False
    return True


def _settings(data: Any) -> None:
    def of(name: str) -> Document | None:
        return Document("guardrail.toml", data[name]) if name in data else None

    if not data.keys() <= {
        "bundle", "identity", "evidence", "bounds", "quota", "audit", "resources", "check",
        "detectors",
    } or "bundle" not in data:  # fmt: skip
        raise ConfigurationError("tables")
    for name, model in (
        ("bundle", BundleSettings),
        ("resources", ResourceSettings),
        ("check", CheckSettings),
        ("bounds", Bounds),
    ):
        if (table := of(name)) is not None:
            table.parse(model)
    read_audit(of("audit"))
    read_detectors(of("detectors"))
    open_storage(of("quota"), FrozenClock())
    if (table := of("identity")) is not None:
        read_tables(table)
        revoked = table.data.get("revoked_file", "/")
        if not isinstance(revoked, str) or not revoked.startswith("/"):
            raise ConfigurationError("revoked_file")
    read_evidence(of("evidence"), formats={form.name for form in FORMATS})


def _links(data: Any) -> None:
    _, faults = read_links({"links.yaml": as_yaml(data)})
    if faults:
        raise ConfigurationError(faults=tuple(faults))


def _tests(data: Any) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tests").mkdir()
        (folder / "tests" / "a_test.yaml").write_bytes(as_yaml(data))
        suite = read_suite(folder)
        for each in (*suite.cases, *suite.properties):
            if isinstance(each, InvalidTest | InvalidProperty):
                raise ConfigurationError(faults=each.faults)


def _request(data: Any) -> None:
    document = Document("request.json", data)
    if authzen.is_authzen(document):
        authzen.read(document, parse=uid_at)
    else:
        request_document.read_request(document, parse=uid_at)


_LOADERS = {
    Files.settings: _settings,
    Files.inputs: lambda data: read_spec("a", Document("inputs/a.yaml", data)),
    Files.outputs: lambda data: read_output_specs({"a": Document("outputs/a.yaml", data)}),
    Files.links: _links,
    Files.tests: _tests,
    Files.request: _request,
}
