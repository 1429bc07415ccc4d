"""Bundles with one weakness each, and the same without: one pair per code of a finding."""

from __future__ import annotations

from dataclasses import dataclass, field

from guardrail.policy.schema.schema import standard_facts

HEAD = '[bundle]\nname = "small"\nversion = "1.0.0"\n'
SCHEMA = """\
entity Role in [Role];
entity Group in [Group];
entity User in [Role] { level: Long };
entity Model in [Group] { purpose: String };
action predict appliesTo {
  principal: [User], resource: [Model],
  context: {
    input: guardrail::TensorInput, time: guardrail::TimeFacts,
    app: { count: Long, other: Long, at: datetime, span: duration, score: decimal, note: String },
  },
};
action explain appliesTo { principal: [User], resource: [Model], context: {} };
"""
ENTITIES = """\
[
  {"uid": {"type": "Role", "id": "clinician"}, "attrs": {}, "parents": []},
  {"uid": {"type": "Group", "id": "live"}, "attrs": {}, "parents": []},
  {"uid": {"type": "Group", "id": "empty"}, "attrs": {}, "parents": []},
  {"uid": {"type": "Model", "id": "tumour"}, "attrs": {"purpose": "care"},
   "parents": [{"type": "Group", "id": "live"}]}
]
"""
PATIENTS = "kind: tensor\ndtype: float64\nshape: [1..100, 3]\n"
PREDICT = 'action == Action::"predict"'
GRANT = f'@id("grant")\npermit (principal in Role::"clinician", {PREDICT}, resource);\n'
CONDITIONS = (
    '@id("checked") @input("patients") forbid (principal, action, resource);\n'
    '@id("counted") @quota("60/minute per principal") forbid (principal, action, resource);\n'
)
SOUND = GRANT + CONDITIONS
REPORT = (
    '@id("report") @output("report") forbid (principal, action, resource);\n'
    '@id("hidden") {} forbid (principal, action, resource);\n'
)
REPORT_SPEC = "kind: record\nfields: {ssn: {type: string}, score: {type: float}}\n"
#: Another model, which is retired, and a policy that retires it.
OLD = ENTITIES.replace(
    '  {"uid": {"type": "Model", "id": "tumour"}',
    '  {"uid": {"type": "Model", "id": "old"}, "attrs": {"purpose": "retired"}, "parents": []},\n'
    '  {"uid": {"type": "Model", "id": "tumour"}',
)
RETIRED = (
    '@id("no-retired") forbid (principal, action, resource)'
    ' when { resource.purpose == "retired" };\n' + SOUND
)
PROVIDER = """
[identity.x]
type = "jwt"
issuer = "https://issuer.example"
audience = "scoring"
algorithms = ["ES256"]
key_file = "key.pem"
principal = { type = "User", id = "sub", in.Role = "roles" }
"""
ENCLAVES = """
[evidence.enclaves]
about = "peer"
format = "azure_maa"
issuer = "https://issuer.example"
algorithms = ["ES256"]
key_file = "key.pem"
"""
JOURNAL = '[audit]\njournal = "/var/lib/guardrail"\n'
CHECKPOINTS = """\
[audit.checkpoints]
key_file = "checkpoints.pem"
url = "https://evidence.example/guardrail"
"""
KEY = """\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE+nv0dsb5R1P8cnqZoRD6o6nXkKJo
6Ut8j0PJ/wR2OVbLBiaXjIcPpPWrOHS4J81liplQnG6ReOIGpRJzHE613Q==
-----END PUBLIC KEY-----
"""
#: The variable that a bundle with a shared secret reads, and a value that is long enough.
SECRET = ("SECRET_OF_A_TEST", "x" * 32)


def when(clause: str, *, kind: str = "permit") -> str:
    """Return a policy with one clause, on lines of its own, among sound ones."""
    return f'@id("it")\n{kind} (principal, {PREDICT}, resource)\nwhen {{ {clause} }};\n{SOUND}'


@dataclass(frozen=True)
class Weak:
    """A bundle's policies and files with a weakness, where it is found, and a sound variant."""

    place: str
    policies: str = SOUND
    files: dict[str, str] = field(default_factory=dict)
    sound: str | None = SOUND
    sound_files: dict[str, str] = field(default_factory=dict)


def settings(text: str) -> dict[str, str]:
    """Return the files of a bundle whose settings go on with ``text``."""
    key = {"key.pem": KEY} if '"key.pem"' in text else {}
    return {"guardrail.toml": HEAD + text, **key}


WEAK = {
    "GR501": Weak(
        "policies.cedar:2:28",
        '@id("it")\npermit (principal in Role::"clinican", action, resource);\n' + SOUND,
        sound='@id("it")\npermit (principal in Role::"clinician", action, resource);\n' + SOUND,
    ),
    "GR502": Weak(
        "policies.cedar:3:52",
        when('context.app.count > 1 && principal in Role::"clinican"').replace("&&", "||"),
        sound=when('context.app.count > 1 || principal in Role::"clinician"'),
    ),
    "GR503": Weak(
        "policies.cedar:3:26",
        when("context.app.count + 1 > 5"),
        sound=when("context.app.count < 100 && context.app.count + 1 > 5"),
    ),
    "GR504": Weak(
        "policies.cedar:3:30",
        when('context.app.note == "r\u0435d"'),
        sound=when('context.app.note == "red"'),
    ),
    "GR505": Weak(
        "policies.cedar:3:30",
        when('context.app.note == "r\u200bed"'),
        sound=when('context.app.note == "r\\u{200b}ed"'),
    ),
    "GR506": Weak("guardrail.toml:1:1", CONDITIONS),
    "GR507": Weak(
        "schema.cedarschema:5:8",
        SOUND.replace('@input("patients")', '@round("2")'),
    ),
    "GR508": Weak(
        "policies.cedar:1:1", SOUND.replace('@quota("60/minute per principal")', '@round("2")')
    ),
    "GR509": Weak(
        "policies.cedar:3:8",
        when('resource == Model::"tumour" && context.app.count > 1'),
        sound=when("context.app.count > 1"),
    ),
    "GR510": Weak(
        "policies.cedar:3:46",
        when('context.app.score.greaterThan(decimal("0.9999"))'),
        sound=when('context.app.score.greaterThan(decimal("0.9990"))'),
    ),
    "GR511": Weak("guardrail.toml:5:1", files=settings('[resources]\nunknown = "allow"\n')),
    "GR512": Weak(
        "policies.cedar:1:1",
        '@id("it")\nforbid (principal, action, resource);\n' + SOUND,
        sound='@id("it")\nforbid (principal, action, resource) when { resource.purpose == "x" };\n'
        + SOUND,
    ),
    "GR513": Weak(
        "policies.cedar:1:1",
        when("context.input.bytes > 10 && context.input.bytes < 5"),
        sound=when("context.input.bytes > 10 && context.input.bytes < 15"),
    ),
    "GR514": Weak(
        "policies.cedar:3:21",
        when("context.time.hour > 24"),
        sound=when("context.time.hour > 22"),
    ),
    "GR515": Weak(
        "policies.cedar:1:1",
        '@id("it")\npermit (principal in Role::"clinician",'
        f' {PREDICT}, resource == Model::"tumour");\n' + SOUND,
        sound=f'@id("it")\npermit (principal, {PREDICT}, resource == Model::"tumour");\n' + SOUND,
    ),
    "GR516": Weak(
        "policies.cedar:1:1",
        f'@id("it")\npermit (principal, {PREDICT}, resource == Model::"old");\n{RETIRED}',
        files={"entities.json": OLD},
        sound=f'@id("it")\npermit (principal, {PREDICT}, resource == Model::"tumour");\n{RETIRED}',
        sound_files={"entities.json": OLD},
    ),
    "GR517": Weak(
        "policies.cedar:3:20",
        when('context.app.note like "???*"'),
        sound=when('context.app.note like "*?*"'),
    ),
    "GR520": Weak("guardrail.toml:1:1", sound=GRANT),
    "GR521": Weak("policies.cedar:4:16", SOUND.replace("60/minute", "60/day")),
    "GR522": Weak(
        "policies.cedar:6:15",
        SOUND + REPORT.format('@mask("snn")'),
        files={"outputs/report.yaml": REPORT_SPEC},
        sound=SOUND + REPORT.format('@mask("ssn")'),
        sound_files={"outputs/report.yaml": REPORT_SPEC},
    ),
    "GR530": Weak(
        "guardrail.toml:9:1",
        files=settings(
            PROVIDER.replace("ES256", "HS256").replace(
                'key_file = "key.pem"', f'secret_env = "{SECRET[0]}"'
            )
        ),
        sound_files=settings(PROVIDER),
    ),
    "GR531": Weak(
        "guardrail.toml:12:1",
        files=settings(PROVIDER + "leeway_s = 61\n"),
        sound_files=settings(PROVIDER + "leeway_s = 60\n"),
    ),
    "GR532": Weak(
        "guardrail.toml:12:1",
        files=settings(PROVIDER + 'unknown_parents = "drop"\n'),
        sound_files=settings(PROVIDER + 'unknown_parents = "deny"\n'),
    ),
    "GR533": Weak(
        "guardrail.toml:11:1",
        files=settings(PROVIDER.replace('"sub"', '"email"')),
        sound_files=settings(PROVIDER),
    ),
    "GR534": Weak(
        "guardrail.toml:7:1",
        files=settings(
            '[identity.mesh]\ntype = "mtls"\nprincipal = { type = "User" }\n'
            "unsafe_trust_server = true\n"
        ),
        sound_files=settings(PROVIDER),
    ),
    "GR535": Weak(
        "guardrail.toml:11:1",
        files=settings(ENCLAVES + 'nonce = "none"\n'),
        sound_files=settings(ENCLAVES + 'nonce = "required"\n'),
    ),
    "GR536": Weak(
        "policies.cedar:2:28",
        policies='@id("it")\nforbid (principal == User::"clara", '
        + PREDICT
        + ", resource);\n"
        + SOUND,
        sound='@id("it")\nforbid (principal == User::"x#clara", '
        + PREDICT
        + ", resource);\n"
        + SOUND,
        files=settings(PROVIDER + 'id_prefix = "x"\n'),
        sound_files=settings(PROVIDER + 'id_prefix = "x"\n'),
    ),
    "GR540": Weak("guardrail.toml:1:1", sound_files=settings(JOURNAL)),
    "GR541": Weak(
        "guardrail.toml:6:1",
        files=settings(JOURNAL + '[audit.checkpoints]\nkey_file = "checkpoints.pem"\n'),
        sound_files=settings(JOURNAL + CHECKPOINTS),
    ),
    "GR550": Weak(
        ".schemas/whole.cedarschema",
        files={".schemas/whole.cedarschema": "entity User;\n"},
        sound_files={".schemas/whole.cedarschema": standard_facts() + SCHEMA},
    ),
}
