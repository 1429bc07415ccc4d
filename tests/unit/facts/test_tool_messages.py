"""Chats with tool calls, images and parts, as OpenAI, Anthropic and LangChain write them."""

import json
from typing import Any

import pytest
from bundles import GRANT, SCHEMA, principal
from pydantic import BaseModel

from guardrail import Guard, InputRejected, NotAuthorized
from guardrail._documents import read_yaml
from guardrail._messages import Misfit, read_messages
from guardrail._ports import ObligationNotMet
from guardrail.facts import Bounds, take_view
from guardrail.obligations.input.specs import read_specs

MAIL = "ann@clinic.example"
PIXEL = "iVBORw0KGgo="


def say(role="user", content="hi", **more):
    return {"role": role, "content": content, **more}


def called(arguments="{}", name="look_up", **more):
    function = {"name": name, "arguments": arguments}
    return {"id": "c1", "type": "function", "function": function, **more}


def used(held=None, name="look_up"):
    return {"type": "tool_use", "id": "t1", "name": name, "input": held if held is not None else {}}


class Human(BaseModel):
    """As LangChain's own is, with the fields of all of its messages."""

    content: str | list[Any]
    additional_kwargs: dict[str, Any] = {}
    response_metadata: dict[str, Any] = {}
    type: str = "human"
    name: str | None = None
    id: str | None = None


class AI(Human):
    type: str = "ai"
    tool_calls: list[Any] = []
    invalid_tool_calls: list[Any] = []
    usage_metadata: dict[str, Any] | None = None


class Tool(Human):
    type: str = "tool"
    tool_call_id: str = "c1"
    artifact: Any = None
    status: str = "success"


#: Each conversation, its roles, names of tools, calls and images.
CHATS = {
    "openai": (
        [
            say("system"), say(content=[{"type": "text", "text": "a"}, {
                "type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}]),
            say("assistant", None, tool_calls=[called(), called(name="other")], refusal=None,
                audio=None, function_call=None, annotations=[]),
            say("tool", "42", tool_call_id="c1"),
            say("assistant", [{"type": "refusal", "refusal": "no"}]),
        ],
        {"system", "user", "assistant", "tool"}, {"look_up", "other"}, 2, 1,
    ),
    "openai_old": (
        [say("assistant", None, function_call={"name": "f", "arguments": "{}"}),
         say("function", "42", name="f")],
        {"assistant", "function"}, {"f"}, 1, 0,
    ),
    "openai_responses": (
        [say(content=[{"type": "input_text", "text": "a"},
                      {"type": "input_image", "image_url": "https://a.example/x.png"}]),
         say("assistant", [{"type": "output_text", "text": "b", "annotations": []}],
             type="message", id="m", status="completed")],
        {"user", "assistant"}, set(), 0, 1,
    ),
    "anthropic": (
        [
            say(content=[
                {"type": "image", "source": {"type": "base64", "media_type": "image/png",
                                             "data": PIXEL}},
                {"type": "image", "source": {"type": "url", "url": "https://a.example/x.png"}},
                {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
            ]),
            say("assistant", [{"type": "thinking", "thinking": "hm", "signature": "x"}, used()]),
            say("user", [{"type": "tool_result", "tool_use_id": "t1", "is_error": False,
                "content": [{"type": "text", "text": "42"}, {"type": "image", "source": {
                    "type": "base64", "media_type": "image/png", "data": PIXEL}}]}]),
        ],
        {"user", "assistant"}, {"look_up"}, 1, 3,
    ),
    "langchain": (
        [
            Human(content=["a", {"type": "text", "text": "b"}]),
            Human(content=[{"type": "image", "source_type": "base64", "mime_type": "image/png",
                            "base64": PIXEL}]),
            AI(content="", tool_calls=[
                {"name": "look_up", "args": {"a": 1}, "id": "c1", "type": "tool_call"}]),
            Tool(content="42"),
            Human(content="s", type="system"),
        ],
        {"user", "assistant", "tool", "system"}, {"look_up"}, 1, 1,
    ),
}  # fmt: skip
every_chat = pytest.mark.parametrize("name", CHATS)


def view(value):
    return take_view(value, name="chat", bounds=Bounds())


def read(value):
    seen = view(value)
    return read_messages(seen.value if seen.data is None else seen.data)


def texts(*messages):
    return {found.text for message in read(list(messages)) for found in message.texts}


def spec(text):
    return read_specs({"chat": read_yaml("inputs/chat.yaml", f"kind: messages\n{text}".encode())})[
        "chat"
    ]


def refusal(text, value):
    with pytest.raises(ObligationNotMet) as caught:
        spec(text).check(view(value))
    assert caught.value.code == "input_rejected"
    return caught.value.path, caught.value.message


@every_chat
def test_a_conversation_is_read_with_its_tools_and_images(name):
    chat, roles, tools, calls, images = CHATS[name]
    messages = read(chat)
    assert {message.role for message in messages} == roles
    assert {call.name for message in messages for call in message.tool_calls} == tools
    assert sum(len(message.tool_calls) for message in messages) == calls
    assert sum(len(message.images) for message in messages) == images
    assert PIXEL not in {found.text for message in messages for found in message.texts}


@pytest.mark.parametrize(
    "message",
    [
        say("assistant", None, tool_calls=[called(json.dumps({"to": MAIL}))]),
        say("assistant", None, tool_calls=[called(json.dumps({MAIL: 1}))]),
        say("assistant", None, tool_calls=[called(name=MAIL)]),
        say("assistant", None, tool_calls=[called(id=MAIL)]),
        say("assistant", None, tool_calls=[called('{"to": "ann\\u0040clinic.example"}')]),
        say("assistant", None, tool_calls=[called('{"to": "ann\\u0040clinic.example", "to": ""')]),
        say("assistant", None, function_call={"name": "f", "arguments": MAIL}),
        say("assistant", [used({"to": [{"mail": MAIL}]})]),
        say("assistant", [used({"to": [{MAIL: 1}]})]),
        say("user", [{"type": "tool_result", "tool_use_id": "t", "content": MAIL}]),
        say("user", [{"type": "tool_result", "tool_use_id": MAIL}]),
        say("user", [{"type": "tool_result", "tool_use_id": "t",
                      "content": [{"type": "text", "text": MAIL}]}]),
        say("user", [{"type": "image_url", "image_url": {"url": f"https://a.example/?m={MAIL}"}}]),
        say("user", [{"type": "input_image", "image_url": f"https://a.example/?m={MAIL}"}]),
        say("user", [{"type": "image", "source": {"type": "url", "url": MAIL}}]),
        say("user", [{"type": "image", "source": {"type": "base64", "media_type": MAIL,
                                                  "data": PIXEL}}]),
        say("user", [{"type": "image_url",
                      "image_url": {"url": f"data:text/plain;base64,{PIXEL}{MAIL}"}}]),
        say("assistant", [{"type": "refusal", "refusal": MAIL}]),
        say("assistant", [{"type": "thinking", "thinking": MAIL, "signature": "x"}]),
        say("assistant", [{"type": "thinking", "thinking": "x", "signature": MAIL}]),
        say("assistant", [{"type": "text", "text": "x", "cache_control": {"type": MAIL}}]),
        say("assistant", [{"type": "text", "text": "x", "annotations": [{"url": MAIL}]}]),
        say("assistant", None, refusal=MAIL),
        say("assistant", "x", reasoning_content=MAIL),
        say(content=[{"type": "text", "text": MAIL}]),
        Human(content=[MAIL]),
        Human(content="x", additional_kwargs={"a": [MAIL]}),
        AI(content="", tool_calls=[{"name": "f", "args": {"to": MAIL}, "id": "1"}]),
        AI(content="x", invalid_tool_calls=[{"name": "f", "args": MAIL, "error": None}]),
        Tool(content="x", artifact={"a": MAIL}),
    ],
    ids=str,
)  # fmt: skip
def test_every_text_is_found_wherever_it_stands(message):
    assert any(MAIL in text for text in texts(message))


def test_escapes_are_undone_for_a_search_and_not_counted():
    (message,) = read(
        [say("assistant", None, tool_calls=[called('"\\u00e9\\ud83d\\ude00\\n\\"x"')])]
    )
    assert '"é😀\n"x"' in {found.text for found in message.texts}
    raw = '"\\u00e9\\ud83d\\ude00\\n\\"x"'
    assert sum(map(len, message.counted)) == len(raw + "look_up" + "c1" + "function")
    spec("roles: [assistant]\ntools: any\nforbid: [control]").check(
        view([say("assistant", None, tool_calls=[called('{"a": "b"}')])])
    )
    path, _ = refusal(
        "roles: [assistant]\ntools: any\nforbid: [control]",
        [say("assistant", None, tool_calls=[called('{"a": "\\u0000"}')])],
    )
    assert path.startswith("chat[0].tool_calls[0].function.arguments@")


@pytest.mark.parametrize(
    ("message", "steps"),
    [
        (say(tool_calls="x"), ("tool_calls",)),
        (say(tool_calls=[3]), ("tool_calls", 0)),
        (say(tool_calls=[{}]), ("tool_calls", 0, "name")),
        (say(tool_calls=[called(3)]), ("tool_calls", 0, "function", "arguments")),
        (say(tool_calls=[called(name=3)]), ("tool_calls", 0, "function", "name")),
        (say(tool_calls=[called(secret="x")]), ("tool_calls", 0)),
        (say(tool_calls=[{"type": "custom", "custom": {"input": "x"}}]), ("tool_calls", 0)),
        (say(tool_calls=[{**called(), "function": {"name": "f", "secret": 1}}]),
         ("tool_calls", 0, "function")),
        (say(tool_calls=[{**called(), "function": "f"}]), ("tool_calls", 0, "function")),
        (say(function_call={"name": 3}), ("function_call", "name")),
        (say("assistant", None), ("content",)),
        (say("assistant", None, tool_calls=[]), ("content",)),
        (say(audio={"id": "x"}), ("audio",)),
        (say(content=[{"type": "input_audio", "input_audio": {"data": "x"}}]), ("content", 0)),
        (say(content=[{"type": "document", "source": {}}]), ("content", 0)),
        (say(content=[{"type": "file", "file": {}}]), ("content", 0)),
        (say(content=[{"type": "redacted_thinking", "data": "x"}]), ("content", 0)),
        (say(content=[{"type": "image"}]), ("content", 0)),
        (say(content=[{"type": "image", "source": "x"}]), ("content", 0, "source")),
        (say(content=[{"type": "image_url", "image_url": "x"}]), ("content", 0, "image_url")),
        (say(content=[{"type": "image_url", "image_url": {"url": 3}}]),
         ("content", 0, "image_url", "url")),
        (say(content=[{"type": "image", "source": {"type": "base64", "data": "a@b.example"}}]),
         ("content", 0, "source", "data")),
        (say(content=[{"type": "image", "source": {"file_id": "x"}}]), ("content", 0, "source")),
        (say(content=[{"type": "tool_use", "id": "x", "input": {}}]), ("content", 0, "name")),
        (say(content=[{"type": "tool_result"}]), ("content", 0, "tool_use_id")),
        (say(content=[{"type": "tool_result", "tool_use_id": "x", "content": [{"type": "file"}]}]),
         ("content", 0, "content", 0)),
        (say(content=["text"]), ("content", 0)),
        ({"type": "robot", "content": "x"}, ("role",)),
        (say(secret="x"), ()),
        (say(document="x"), ("document",)),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_not_known_is_refused_with_its_place(message, steps):
    misfit = read([say(), message])
    assert isinstance(misfit, Misfit)
    assert misfit.steps == (1, *steps)
    path = refusal("roles: [user, assistant]\ntools: any\nmax_images: 9", [say(), message])[0]
    assert path.startswith("chat[1]")
    assert "secret" not in path


class TestSpecs:
    def test_calls_and_images_are_refused_unless_the_spec_says_so(self):
        chat = [say(), say("assistant", None, tool_calls=[called()])]
        path, message = refusal("", chat)
        assert (path, "no call of a tool; got another" in message) == ("chat[1].tool_calls", True)
        assert refusal("", [say("assistant", [used()])])[0] == "chat[0].content"
        image = {"type": "image_url", "image_url": {"url": "https://a.example/x.png"}}
        path, message = refusal("", [say(content=[image])])
        assert (path, "at most 0 images" in message) == ("chat[0].content[0]", True)
        assert refusal("max_images: 1", [say(content=[image, image])])[0] == "chat[0].content[1]"
        spec("max_images: 2").check(view([say(content=[image, image])]))

    def test_tools_are_those_that_the_spec_names(self):
        chat = [say("assistant", None, tool_calls=[called(), called(name="delete")])]
        spec("tools: any").check(view(chat))
        spec("tools: [look_up, delete]\nmax_tool_calls: 2").check(view(chat))
        path, message = refusal("tools: [look_up]", chat)
        assert path == "chat[0].tool_calls[1].function.name"
        assert "a call of look_up; got another" in message
        assert "delete" not in message
        assert refusal("tools: any\nmax_tool_calls: 1", chat)[0] == "chat"

    def test_texts_of_arguments_count_and_are_searched(self):
        chat = [say("assistant", [used({"to": "x" * 30})])]
        assert refusal("tools: any\nmax_chars: 20", chat)[0] == "chat[0]"
        hidden = [say("assistant", [used({"to": "a\u202eb"})])]
        path = refusal("tools: any\nforbid: [bidi]", hidden)[0]
        assert path == "chat[0].content[0].input[...]@1"


CHAT = (
    SCHEMA
    + """
action chat appliesTo {
  principal: [User], resource: [Model], context: { input: guardrail::MessagesInput }
};
"""
)
RULES = """
@id("mail") forbid (principal, action == Action::"chat", resource)
when { context.input.findings.contains("email") };
@id("tools") forbid (principal, action == Action::"chat", resource)
when { context.input.tools.contains("delete") || context.input.tool_calls > 1 };
@id("images") forbid (principal, action == Action::"chat", resource)
when { context.input.images > 1 };
"""
IMAGE = {"type": "image_url", "image_url": {"url": "https://a.example/x.png"}}


def protect(folder):
    guard = Guard.from_dir(folder)
    on = {"action": "chat", "resource": 'Model::"tumour"', "principal": principal()}
    return guard.protect(**on)(lambda value: value)


@pytest.mark.parametrize(
    ("messages", "policy"),
    [
        ([say("assistant", None, tool_calls=[called()])], ""),
        ([say(content=[IMAGE])], ""),
        ([say("assistant", None, tool_calls=[called(json.dumps({"to": MAIL}))])], "mail"),
        (
            [say("assistant", None, tool_calls=[called('{"to": "ann\\u0040clinic.example"}')])],
            "mail",
        ),
        ([say("assistant", [used({"to": MAIL})])], "mail"),
        ([say("assistant", None, tool_calls=[called(name="delete")])], "tools"),
        ([say("assistant", [used(), used()])], "tools"),
        ([say(content=[IMAGE, IMAGE])], "images"),
    ],
)
def test_policies_decide_by_tools_images_and_what_is_found_in_arguments(
    make_bundle, messages, policy
):
    chat = protect(make_bundle(GRANT + RULES, **{"schema.cedarschema": CHAT}))
    if not policy:
        assert chat(messages) is messages
        return
    with pytest.raises(NotAuthorized) as caught:
        chat(messages)
    assert caught.value.policies == (policy,)


@pytest.mark.parametrize(
    ("message", "place"),
    [
        (say(audio={"id": "x"}), "value[1].audio"),
        (say(tool_calls="x"), "value[1].tool_calls"),
        (say(content=[{"type": "file"}]), "value[1].content[0]"),
        ("text", "value[1]"),
    ],
)
@pytest.mark.parametrize("rules", [GRANT + RULES, RULES.replace("forbid", "permit")])
def test_a_chat_that_is_not_known_is_denied_with_its_place(make_bundle, rules, message, place):
    chat = protect(make_bundle(rules, **{"schema.cedarschema": CHAT}))
    with pytest.raises(NotAuthorized) as caught:
        chat([say(), message])
    denial = caught.value
    assert denial.code in ("evaluation_error", "no_grant")
    assert (denial.path, denial.message.startswith(f"{place}: expected ")) == (place, True)


def test_a_spec_names_the_place_through_a_guard(make_bundle):
    rule = '@id("c") @input("chat") forbid (principal, action == Action::"chat", resource);'
    files = {"schema.cedarschema": CHAT, "inputs/chat.yaml": "kind: messages\n"}
    chat = protect(make_bundle(GRANT + rule, **files))
    with pytest.raises(InputRejected) as caught:
        chat([say(), say("assistant", None, tool_calls=[called()])])
    assert caught.value.path == "value[1].tool_calls"


HIDDEN = "hidden words"
#: A message that holds a text in a place of no meaning, or of two.
ODD_PLACES = {
    "a role": say(role=f"user\n{HIDDEN}"),
    "an id": say(content=[{"type": "text", "text": "a", "id": {"x": HIDDEN}}]),
    "an index": say(content=[{"type": "text", "text": "a", "index": [HIDDEN]}]),
    "a signature": say(content=[{"type": "thinking", "thinking": "a", "signature": [HIDDEN]}]),
    "an error": say(content=[{"type": "tool_result", "tool_use_id": "1", "is_error": HIDDEN}]),
    "the id of a use": say(content=[{**used(), "id": [HIDDEN]}]),
    "the index of a call": say(tool_calls=[{"name": "x", "args": {}, "index": HIDDEN}]),
    "a detail": say(content=[{"type": "image", "base64": PIXEL, "detail": {"x": HIDDEN}}]),
    "an image of words": say(
        content=[{"type": "image", "source": {"type": "base64", "data": HIDDEN.replace(" ", "_")}}]
    ),
    "an address of words": say(
        content=[{"type": "image", "url": f"data:image/png;base64,{HIDDEN.replace(' ', '_')}"}]
    ),
    "further arguments": {"type": "ai", "content": "", "additional_kwargs": {"a": [HIDDEN]}},
    "a call that is no JSON": {
        "type": "ai", "content": "", "invalid_tool_calls": [{"name": "x", "args": HIDDEN}],
    },
}  # fmt: skip


@pytest.mark.parametrize("message", ODD_PLACES.values(), ids=ODD_PLACES)
def test_no_text_hides_in_a_place_of_no_meaning(message):
    found = [text.replace("_", " ") for text in read([message])[0].counted]
    assert any(HIDDEN in text for text in found)


@pytest.mark.parametrize(
    "message",
    [
        say(tool_calls=[{**called(), "name": "erase"}]),
        say(tool_calls=[{**called(), "args": {"q": HIDDEN}}]),
        say(content=[{"type": "image", "url": "https://a.example", "base64": PIXEL}]),
        say(content=[{"type": "image", "image_url": {"url": "a"}, "source": {"url": HIDDEN}}]),
        say(content=[{"type": "image", "source": {"url": "a", "data": PIXEL}}]),
        say(content=[{"type": "image", "source": {"type": "base64", "data": "many words here"}}]),
        {"type": "ai", "content": "", "additional_kwargs": {"audio": {"data": "AAAA"}}},
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(message):
    assert isinstance(read([message]), Misfit)


RAW = called(name="erase", arguments='{"q": "\\u0061nn@clinic.example"}')


@pytest.mark.parametrize(
    "message",
    [
        {"type": "ai", "content": "", "additional_kwargs": {"tool_calls": [RAW]}},
        {"type": "ai", "content": "", "additional_kwargs": {"function_call": RAW["function"]}},
        AI(content="", invalid_tool_calls=[
            {"type": "invalid_tool_call", "name": "erase", "id": "1", "error": None,
             "args": RAW["function"]["arguments"]},
        ]),
        {**AI(content="", additional_kwargs={"tool_calls": [called(), RAW]}).model_dump(),
         "tool_calls": [{"name": "look_up", "args": {}, "id": "c1"}]},
    ],
)  # fmt: skip
def test_calls_that_langchain_keeps_elsewhere_are_calls(message):
    (read_one,) = read([message])
    assert "erase" in {call.name for call in read_one.tool_calls}
    assert any(MAIL in found.text for found in read_one.texts)
    path, _ = refusal("tools: [look_up]", [message])
    assert path.startswith("chat[0].")


def test_a_call_that_stands_in_a_message_twice_counts_once():
    message = AI(
        content="",
        tool_calls=[{"name": "look_up", "args": {}, "id": "c1"}],
        additional_kwargs={"tool_calls": [called()]},
    )
    assert len(read([message])[0].tool_calls) == 1


IMAGES = {
    "png": "iVBORw0KGgoAAAANSUhEUg==",
    "jpeg": "/9j/4AAQSkZJRgABAQ==",
    "gif": "R0lGODlhAQABAIAAAA==",
    "webp": "UklGRiIAAABXRUJQVlA4IA==",
    "bmp": "Qk02AAAAAAAAADYAAAA=",
    "tiff": "SUkqAAgAAAA=",
    "avif": "AAAAHGZ0eXBhdmlm",
}


@pytest.mark.parametrize("data", IMAGES.values(), ids=IMAGES)
def test_an_image_in_base64_is_no_text(data):
    part = {"type": "image", "source": {"type": "base64", "media_type": "image/x", "data": data}}
    link = {"type": "image_url", "image_url": {"url": f"data:image/x;base64,{data}"}}
    assert data not in "".join(read([say(content=[part, link])])[0].counted)
