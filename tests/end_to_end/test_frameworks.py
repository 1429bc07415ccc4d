"""A protected function works wherever the bare one does: in frameworks that look at functions.

Each framework is given the bare function and the protected one, of every kind, and does the same
with both: takes it, reads its signature, calls it. Those that bring many packages with them are for
`make test-scale`, which installs them.
"""

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Iterator
from types import FunctionType, ModuleType

import pytest
from bundles import GRANT, principal

from guardrail import NotAuthorized

ON = {"action": "predict", "resource": 'Model::"tumour"', "input": "text"}


def needed(name: str) -> ModuleType:
    """Import a framework, or skip the test and say how to install it."""
    reason = f"{name} is not installed: `make test-scale` installs the group `frameworks`"
    return pytest.importorskip(name, reason=reason)


def plain(text: str, times: int = 1) -> str:
    """Repeat a text.

    Args:
        text: The text.
        times: How often.
    """
    return text * times


async def later(text: str, times: int = 1) -> str:
    """Repeat a text, later."""
    await asyncio.sleep(0)
    return text * times


def items(text: str, times: int = 1) -> Iterator[str]:
    """Repeat a text, one by one."""
    for _ in range(times):
        yield text


async def later_items(text: str, times: int = 1) -> AsyncIterator[str]:
    """Repeat a text, one by one, later."""
    for _ in range(times):
        await asyncio.sleep(0)
        yield text


KINDS = [plain, later, items, later_items]
every_kind = pytest.mark.parametrize("function", KINDS)


@pytest.fixture
def guard(make_guard):
    return make_guard(
        GRANT + '@id("no") forbid (principal, action == Action::"predict", resource)\n'
        "when { context.app has purpose };"
    )


@pytest.fixture
def protect(guard):
    return guard.protect(**ON, principal=principal())


def output(work):
    """Return what a piece of work returns, or the type of what it raises."""
    try:
        made = work()
        if inspect.isawaitable(made):
            made = asyncio.run(_awaited(made))
        if inspect.isasyncgen(made):
            made = asyncio.run(_gathered(made))
        if inspect.isgenerator(made):
            made = list(made)
    except Exception as error:
        return type(error)
    return made


async def _awaited(made):
    return await made


async def _gathered(made):
    return [each async for each in made]


def copied(function):
    made = FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__,
        function.__closure__,
    )  # fmt: skip
    made.__doc__ = function.__doc__
    return made


def same(protect, function, use):
    """Hold what a framework does with the protected function to what it does with the bare one."""
    bare = output(lambda: use(function))
    assert output(lambda: use(protect(function))) == bare
    return bare


# pydantic


@every_kind
def test_pydantic_validates_calls(protect, function):
    from pydantic import ValidationError, validate_call

    expected = ["ab", "ab"] if "items" in function.__name__ else "abab"
    assert same(protect, function, lambda f: validate_call(f)("ab", times="2")) == expected
    assert same(protect, function, lambda f: validate_call(f)("ab", times="x")) is ValidationError
    assert same(protect, function, lambda f: validate_call(protect(f))("ab")) == output(
        lambda: function("ab")
    )


@every_kind
def test_pydantic_takes_functions_as_types(protect, function):
    from pydantic import TypeAdapter
    from pydantic_core import ArgsKwargs

    expected = ["ab", "ab"] if "items" in function.__name__ else "abab"
    call = ArgsKwargs(("ab",), {"times": "2"})
    assert same(protect, function, lambda f: TypeAdapter(f).validate_python(call)) == expected
    assert same(protect, function, lambda f: TypeAdapter(f).json_schema())["required"] == ["text"]


# FastAPI


@every_kind
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_fastapi_serves_endpoints_and_dependencies(protect, function):
    from fastapi import Depends, FastAPI
    from fastapi.testclient import TestClient

    is_dependency = "items" in function.__name__

    def use(f):
        app = FastAPI()
        if is_dependency:

            @app.get("/")
            async def read(found: str = Depends(f)):
                return found

        else:
            app.get("/")(f)
        with TestClient(app) as client:
            times = 1 if is_dependency else 2
            answer = client.get("/", params={"text": "ab", "times": times})
            schema = client.get("/openapi.json").json()["paths"]["/"]["get"]["parameters"]
            return answer.json(), [each["name"] for each in schema]

    expected = "ab" if is_dependency else "abab"
    assert same(protect, function, use) == (expected, ["text", "times"])


# click


@pytest.mark.parametrize("function", [plain, items])
def test_click_runs_commands(protect, function):
    import click
    from click.testing import CliRunner

    def use(f):
        f = copied(f)  # click notes options on the function itself
        command = click.command()(click.option("--times", type=int)(click.argument("text")(f)))
        result = CliRunner().invoke(command, ["ab", "--times", "2"], standalone_mode=False)
        return command.name, command.help, list(result.return_value)

    name, text, found = same(protect, function, use)
    assert (name, text.partition(".")[0][:13]) == (function.__name__, "Repeat a text")
    assert "".join(found) == "abab"


# Celery


@pytest.mark.parametrize("function", [plain, items])
def test_celery_runs_tasks(protect, function):
    from celery import Celery

    def use(f):
        app = Celery("tests", broker="memory://", backend="cache+memory://", set_as_current=False)
        task = app.task(f)
        assert task.name.endswith(function.__name__)
        with pytest.raises(TypeError):
            task.delay(unknown=1)
        return list(task.apply(args=("ab",), kwargs={"times": 2}).get())

    assert "".join(same(protect, function, use)) == "abab"


# FastMCP


@pytest.mark.scale
@every_kind
@pytest.mark.filterwarnings("ignore")
def test_fastmcp_serves_tools(protect, function):
    fastmcp = needed("fastmcp")

    async def use(f):
        server = fastmcp.FastMCP("tests")
        server.tool(f)
        async with fastmcp.Client(server) as client:
            (tool,) = await client.list_tools()
            answer = await client.call_tool(function.__name__, {"text": "ab", "times": 2})
            text = answer.content[0].text if answer.content else ""
            # what an unread generator shows of itself is where it lies
            return tool.name, sorted(tool.input_schema["properties"]), text.partition(" at ")[0]

    found = same(protect, function, use)
    if "items" not in function.__name__:
        assert found == (function.__name__, ["text", "times"], "abab")


# LangChain


@pytest.mark.scale
@pytest.mark.parametrize("function", [plain, later])
def test_langchain_makes_tools(protect, function):
    tools = needed("langchain_core.tools")

    async def use(f):
        tool = tools.tool(f)
        return tool.name, sorted(tool.args), await tool.ainvoke({"text": "ab", "times": 2})

    assert same(protect, function, use) == (function.__name__, ["text", "times"], "abab")


@pytest.mark.scale
@every_kind
def test_langchain_runs_lambdas_and_generators(protect, function):
    runnables = needed("langchain_core.runnables")

    def use(f):
        runnable = runnables.RunnableLambda(f)
        return list(runnable.stream("ab")) if function is items else runnable.astream("ab")

    assert "".join(same(protect, function, use)) == "ab"


# OpenAI agents


@pytest.mark.scale
@pytest.mark.parametrize("function", [plain, later])
def test_openai_agents_make_tools(protect, function):
    agents = needed("agents")
    context = needed("agents.tool_context")

    async def use(f):
        tool = agents.function_tool(f)
        arguments = json.dumps({"text": "ab", "times": 2})
        here = context.ToolContext(
            None, tool_name=tool.name, tool_call_id="1", tool_arguments=arguments
        )
        schema = sorted(tool.params_json_schema["properties"])
        return tool.name, schema, await tool.on_invoke_tool(here, arguments)

    assert same(protect, function, use) == (function.__name__, ["text", "times"], "abab")


# pydantic-ai


@pytest.mark.scale
@pytest.mark.parametrize("function", [plain, later])
def test_pydantic_ai_calls_tools(protect, function):
    pydantic_ai = needed("pydantic_ai")
    models = needed("pydantic_ai.models.test")

    async def use(f):
        agent = pydantic_ai.Agent(models.TestModel(), tools=[f])
        return (await agent.run("x")).output

    assert function.__name__ in same(protect, function, use)


# What is denied is denied in them, too.


@pytest.mark.parametrize("function", KINDS)
def test_a_denial_comes_through(guard, function):
    from pydantic import validate_call

    protect = guard.protect(**ON, principal=principal(), facts={"purpose": "none"})
    assert output(lambda: validate_call(protect(function))("ab")) is NotAuthorized
