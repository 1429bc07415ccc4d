"""Findings about links: one for a fault of the template, one per link for its own fault."""

from __future__ import annotations

from weak_bundles import SOUND

TEMPLATE = """\
@id("share") @quota("5/day")
forbid (principal == ?principal, action, resource in ?resource)
when {{ {} }};
"""
LINK = "- {{template: share, id: s{0}, principal: 'User::\"u{0}\"', resource: 'Group::\"{1}\"'}}\n"


def linked(clause: str, *groups: str) -> dict[str, str]:
    links = "".join(LINK.format(number, group) for number, group in enumerate(groups))
    return {"policies": TEMPLATE.format(clause) + SOUND, "links.yaml": links}


def test_what_stands_in_a_template_is_found_once(find):
    files = linked("principal.level + 1 > 5", "live", "live")
    (found,) = find("GR503", **files)
    assert (str(found.place), found.policy) == ("policies.cedar:3:24", "share")
    (found,) = find("GR521", **files)
    assert (str(found.place), found.policy) == ("policies.cedar:1:14", "share")


def test_a_literal_of_a_template_is_found_once(find):
    files = linked('principal in Role::"nope"', "live", "live")
    (found,) = find("GR502", **files)
    assert (str(found.place), found.policy) == ("policies.cedar:3:27", "share")


def test_a_link_to_nothing_is_found_at_its_line(find):
    (found,) = find("GR501", **linked('Group::"empty" == Group::"empty"', "live", "empty"))
    assert (found.place.file, found.place.line, found.policy) == ("links.yaml", 2, "s1")


def test_links_that_reach_something_are_not_found(find):
    files = linked("true", "live", "live")
    assert find("GR501", **files) == []
    assert find("GR503", **files) == []


def test_a_link_in_look_alike_letters_is_found(find):
    files = linked("true", "l\u0456ve")
    found = find("GR504", **files)
    assert [finding.place.file for finding in found] == ["links.yaml"]
