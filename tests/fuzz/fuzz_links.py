"""``links.yaml``: what our reader of its plain form accepts, YAML reads just so."""

from tests.fuzz.harness import check_faults, instrumented, main

with instrumented():
    from guardrail._documents import read_yaml
    from guardrail.errors import ConfigurationError
    from guardrail.policy.source.links import FILE, read_links


def test_one_input(data: bytes) -> None:
    links, faults = read_links({FILE: data})
    check_faults(faults, {FILE: data})
    if faults:
        return
    try:
        document = read_yaml(FILE, data)
    except ConfigurationError as error:
        # brackets in comments are no nesting, and YAML's reader counts them all the same
        assert {fault.code for fault in error.faults} == {"GR005"}
        return
    entries = document.data or []
    assert [{"template": link.template, "id": link.id, **link.fills} for link in links] == entries
    assert [link.place for link in links] == [document.at(at) for at in range(len(entries))]


if __name__ == "__main__":
    main(test_one_input)
