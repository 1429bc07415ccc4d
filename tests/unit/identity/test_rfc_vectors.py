"""The examples in the appendices of the RFCs, and public test vectors."""

import json
import subprocess
import sys

import pytest

from guardrail.testing.jws import main, replay

#: RFC 7515 A.1 to A.3 and RFC 7519 §3.1 and §6.1: one payload, several headers.
JOE = (
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
)
HS256 = {
    "key": {
        "kty": "oct",
        "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9"
        "CAow",
        "alg": "HS256",
    },
    "jws": "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
    + JOE
    + ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
}
RS256 = {
    "key": {
        "kty": "RSA",
        "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPM"
        "EzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kp"
        "aSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT"
        "6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
        "e": "AQAB",
    },
    "jws": "eyJhbGciOiJSUzI1NiJ9."
    + JOE
    + ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O"
    "8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSj"
    "tQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6I"
    "eYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
}
ES256 = {
    "key": {
        "kty": "EC",
        "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    },
    "jws": "eyJhbGciOiJFUzI1NiJ9."
    + JOE
    + ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
}
#: RFC 7515 A.4.
ES512 = {
    "key": {
        "kty": "EC",
        "crv": "P-521",
        "x": "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceq"
        "wQGk",
        "y": "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3k"
        "yMj2",
    },
    "jws": "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA."
    "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8G"
    "aSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn",
}
#: RFC 8037 A.4.
EDDSA = {
    "key": {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    },
    "jws": "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
}
EXAMPLES = {"HS256": HS256, "RS256": RS256, "ES256": ES256, "ES512": ES512, "EdDSA": EDDSA}


def group(key, *tests):
    name = "private" if key["kty"] == "oct" else "public"
    return {
        name: key,
        "tests": [
            {"tcId": number, "comment": "", "jws": jws, "result": result, "flags": []}
            for number, (jws, result) in enumerate(tests, 1)
        ],
    }


def codes(key, *tokens):
    vectors = {"testGroups": [group(key, *[(token, "invalid") for token in tokens])]}
    return [outcome.code for outcome in replay(vectors)]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_the_rfcs_verify(name):
    assert codes(EXAMPLES[name]["key"], EXAMPLES[name]["jws"]) == [""]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_verify_under_no_other_key(name):
    for other, example in EXAMPLES.items():
        if other != name:
            assert codes(example["key"], EXAMPLES[name]["jws"]) == ["unknown_key"]


def test_the_unsecured_example_is_refused():
    """RFC 7515 A.5, RFC 7519 §6.1."""
    assert codes(HS256["key"], f"eyJhbGciOiJub25lIn0.{JOE}.") == ["unknown_key"]


def test_the_extension_example_is_refused():
    """RFC 7515 Appendix E: `crit` names what nobody understands; and RFC 7797: `b64`."""
    crit = "eyJhbGciOiJub25lIiwNCiAiY3JpdCI6WyJodHRwOi8vZXhhbXBsZS5jb20vVU5ERUZJTkVEIl0sDQogImh0dH"
    crit += "A6Ly9leGFtcGxlLmNvbS9VTkRFRklORUQiOnRydWUNCn0"
    b64 = "eyJhbGciOiJIUzI1NiIsImI2NCI6ZmFsc2UsImNyaXQiOlsiYjY0Il19"
    assert (
        codes(HS256["key"], f"{crit}.RkFJTA.", f"{b64}.$.02.AAAA", f"{b64}.{JOE}.AAAA")
        == ["malformed_token"] * 3
    )


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_is_spoilt_is_refused(name):
    head, body, signature = EXAMPLES[name]["jws"].split(".")
    key = EXAMPLES[name]["key"]
    spoilt = [
        f"{head}.{body}.",
        f"{head}.{body}.{signature[:-4]}",
        f"{head}.{body}.{signature}AAAA",
        f"{head}.{body[:-2]}.{signature}",
        f"{head}.{body}.{'A' * len(signature)}",
    ]
    assert set(codes(key, *spoilt)) <= {"bad_signature", "malformed_token"}
    form = [f"{head}.{body}", f"{head}..{signature}", f".{body}.{signature}", "", "a.b.c.d", "{}"]
    form += [f"{head}.{body}.{signature}=", f"{head}.{body}.{signature}\n", f" {head}.{body}.x"]
    assert set(codes(key, *form)) == {"malformed_token"}


@pytest.mark.parametrize(
    "members",
    [
        {"use": "enc"}, {"key_ops": ["sign"]}, {"key_ops": []}, {"alg": "RS512"}, {"alg": "none"},
        {"alg": 7}, {"use": ["sig"]}, {"kid": 7},
    ],
    ids=str,
)  # fmt: skip
def test_a_key_that_is_for_something_else_verifies_nothing(members):
    (found,) = codes({**ES256["key"], **members}, ES256["jws"])
    assert found in {"unusable_key", "unknown_key"}


@pytest.mark.parametrize("members", [{"use": "sig"}, {"key_ops": ["verify"]}, {"alg": "ES256"}])
def test_a_key_that_says_it_is_for_this_verifies(members):
    assert codes({**ES256["key"], **members}, ES256["jws"]) == [""]


class TestCommand:
    def write(self, tmp_path, *groups):
        file = tmp_path / "vectors.json"
        file.write_text(json.dumps({"testGroups": groups}))
        return str(file)

    def test_all_as_it_should_be_is_0(self, tmp_path, capsys):
        file = self.write(
            tmp_path,
            group(ES256["key"], (ES256["jws"], "valid"), (ES256["jws"][:-4], "invalid")),
            group(HS256["key"], (HS256["jws"], "valid"), ("", "invalid")),
        )
        assert main([file]) == 0
        assert "4 vectors, 0 invalid ones accepted, 0 valid ones refused" in capsys.readouterr().out

    def test_what_is_accepted_against_the_file_is_named_and_1(self, tmp_path, capsys):
        file = self.write(tmp_path, group(ES256["key"], (ES256["jws"], "invalid")))
        assert main([file]) == 1
        assert "1: invalid, ACCEPTED" in capsys.readouterr().out

    def test_what_is_refused_against_the_file_is_named(self, tmp_path, capsys):
        file = self.write(tmp_path, group(ES256["key"], (HS256["jws"], "valid")))
        assert main([file]) == 0
        assert "1: valid, unknown_key" in capsys.readouterr().out

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"testGroups": [{}]}'])
    def test_what_is_no_file_of_vectors_is_2(self, tmp_path, text, capsys):
        file = tmp_path / "vectors.json"
        file.write_text(text)
        assert main([str(file)]) == 2
        assert main([str(tmp_path / "absent.json")]) == 2
        assert main([]) == 2

    def test_it_is_a_program(self, tmp_path):
        file = self.write(tmp_path, group(ES256["key"], (ES256["jws"], "valid")))
        command = [sys.executable, "-m", "guardrail.testing.jws", file]
        run = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        assert (run.returncode, run.stderr) == (0, "")
