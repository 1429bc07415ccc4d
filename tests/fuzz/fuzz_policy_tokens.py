"""Policies made of Cedar's own tokens, one per byte: every nesting, chain and sequence."""

from tests.fuzz.harness import Draw, check_faults, instrumented, main

with instrumented():
    from tests.fuzz.policies import check_policies

FILE = "policies.cedar"
HEAD = '@id("a") permit (principal, action, resource) when { '
TOKENS = (
    *"()[]{}.,:;@!-+*<>", "==", "!=", "<=", ">=", "&&", "||", "::",
    " if ", " then ", " else ", " in ", " has ", " like ", " is ", " when {", " unless {",
    "principal", "resource", "action", "context", "User", "a", "b", "true", "false",
    "1", "9223372036854775807", '"x"', '"\\u{1F}"', '"\\"', 'User::"a"', '@id("b") ', "permit",
    "forbid", "?principal", "\n", "\r", "//", '"', "\\", "\u00a0", "ip", "decimal",
    ' "a":1', "({", "[(", ".contains(", " has a.b", " is User in ", "1+", "!(", "true&&", "a.a",
    "}; ", HEAD,
)  # fmt: skip


def test_one_input(data: bytes) -> None:
    draw = Draw(data)
    parts = [draw.choice(("", HEAD))]
    size = 0
    while draw and size < 4096:
        token = draw.whole(0, 255)
        # the last numbers repeat what came just before: what nests or chains grows fast
        if token >= len(TOKENS):
            last = 1 + token % 3
            parts.extend(parts[-last:] * draw.whole(1, 60))
            size = sum(map(len, parts))
        else:
            parts.append(TOKENS[token])
            size += len(TOKENS[token])
    text = "".join(parts)[:8192].encode()
    check_faults(check_policies(FILE, text), {FILE: text})


if __name__ == "__main__":
    main(test_one_input, max_len=512)
