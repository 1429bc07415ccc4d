"""``guardrail key``: issues, revokes and lists the API keys of a bundle.

A key is printed once and never stored; the bundle keeps a hash of it. A running guard applies a
change at its next reload.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from guardrail.cli.commands.check import BundleArgument, files_of
from guardrail.cli.io.terminal import (
    FormatOption,
    OutputFormat,
    remark,
    say,
    say_json,
    stop,
    stop_at,
)
from guardrail.cli.registry import Command, CommandGroup, HelpSection

if TYPE_CHECKING:
    from guardrail.errors import Place
    from guardrail.identity.api_keys.entries import ApiKeyEntry
    from guardrail.identity.api_keys.verifier import ApiKeySettings
    from guardrail.identity.id_prefixes import IdPrefix
    from guardrail.policy import Folder
    from guardrail.values import Principal

ProviderOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="The table [identity.NAME]. Needed if there are several."),
]
IdArgument = Annotated[
    str,
    typer.Argument(
        metavar="ID", show_default=False, help="The id, as `guardrail key list` shows it."
    ),
]

_SPAN: Final = re.compile(r"([0-9]{1,9})([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


@dataclass(frozen=True, slots=True)
class _Table:
    """The ``[identity.NAME]`` table of a bundle's API keys."""

    folder: Folder
    name: str
    settings: ApiKeySettings
    place: Place
    prefix: IdPrefix

    @property
    def path(self) -> Path:
        return self.folder.path / self.settings.keys_file

    def entries(self) -> tuple[ApiKeyEntry, ...]:
        from guardrail.identity.api_keys.entries import read_entries

        file = self.settings.keys_file
        return read_entries(file, self.folder.files.get(file, b"[]"))


def issue(
    directory: BundleArgument,
    *,
    principal: Annotated[
        str, typer.Option(metavar="UID", help="""The key's principal: 'Service::"nightly"'.""")
    ],
    parents: Annotated[
        list[str] | None,
        typer.Option("--in", metavar="UID", help="A role or group of the principal. Repeatable."),
    ] = None,
    attrs: Annotated[
        list[str] | None,
        typer.Option(
            "--attr", metavar="NAME=VALUE", help="An attribute of the principal. Repeatable."
        ),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(metavar="SPAN", help="How long the key is valid: 90d, 12h. Default: forever."),
    ] = None,
    note: Annotated[str, typer.Option(metavar="TEXT", help="What the key is for.")] = "",
    provider: ProviderOption = None,
    format: FormatOption = OutputFormat.text,
) -> None:
    r"""Issue an API key and print it.

    The key goes to standard output, everything else to standard error. The key
    can't be shown again: the bundle keeps only a hash of it, made with the secret
    that guardrail.toml names, in a file with mode 0600.

    Exit codes:

      0  the key was issued
      1  the bundle is not valid, or has no secret
      2  the principal is not valid in this bundle, or there is no such folder

    Example:
      guardrail key issue policies/scoring --principal 'Service::"nightly"' \
        --expires 90d
    """
    from guardrail._ports import SystemClock
    from guardrail.errors import ConfigurationError, NotAuthenticated, NotAuthorized
    from guardrail.identity.api_keys import entries as key_entries
    from guardrail.identity.api_keys.verifier import read_secret
    from guardrail.policy.analysis.callers import check_caller
    from guardrail.values import Principal

    span = _span(expires)
    caller = _caller(principal, parents or [], attrs or [])
    try:
        table = _table(directory, provider)
        secret = read_secret(
            table.settings, place=table.place, environ=os.environ, bundle=table.folder.path
        )
        acting = Principal(
            caller.type, table.prefix.id_of(caller.id), parents=caller.parents, attrs=caller.attrs
        )
        check_caller(table.folder, acting)
    except ConfigurationError as error:
        raise stop_at(error, code=1) from None
    except (NotAuthenticated, NotAuthorized) as error:
        raise stop(error.message) from None
    try:
        key, entry = key_entries.issue(
            caller.uid,
            secret=secret,
            now=SystemClock.now(),
            random=secrets.token_bytes,
            parents=caller.parents,
            attrs=_plain(caller.attrs),
            expires_in_s=span,
            note=note,
        )
    except ConfigurationError as error:
        raise stop_at(error, code=2) from None
    _edit(table, lambda entries: key_entries.with_entry(entries, entry))
    until = "forever" if entry.expires is None else f"until {key_entries.iso(entry.expires)}"
    remark(
        f"Key {entry.id} of {caller.uid}, {until}: its hash is in {table.path}. Keep the key: "
        "it can't be shown again. Running guards accept it from their next reload on."
    )
    if format is OutputFormat.json:
        say_json({"key": key, **_as_json(entry)})
    else:
        say(key)


def revoke(
    directory: BundleArgument,
    id: IdArgument,
    *,
    forget: Annotated[
        bool, typer.Option("--forget", help="Also remove the entry, and so the trace of the key.")
    ] = False,
    provider: ProviderOption = None,
) -> None:
    """Revoke an API key.

    Running guards deny calls with the key from their next reload on.

    Exit codes:

      0  the key is revoked, now or since an earlier time
      1  the bundle is not valid
      2  the bundle has no key with this id, or there is no such folder

    Example:
      guardrail key revoke policies/scoring k3vq5b2m7xta
    """
    from guardrail._ports import SystemClock
    from guardrail.errors import ConfigurationError
    from guardrail.identity.api_keys.entries import with_revoked, without

    now = SystemClock.now()

    def change(entries: tuple[ApiKeyEntry, ...]) -> tuple[ApiKeyEntry, ...]:
        return without(entries, id) if forget else with_revoked(entries, id, now)

    try:
        table = _table(directory, provider)
    except ConfigurationError as error:
        raise stop_at(error, code=1) from None
    _edit(table, change)
    remark(f"Key {id} is revoked. Running guards deny it from their next reload on.")


def list_keys(
    directory: BundleArgument,
    *,
    provider: ProviderOption = None,
    format: FormatOption = OutputFormat.text,
) -> None:
    """List the API keys of a bundle, without keys or hashes.

    Shows the principal of each key and when it was issued, expires or was revoked.

    Exit codes:

      0  the keys were listed
      1  the bundle is not valid
      2  there is no such folder

    Example:
      guardrail key list policies/scoring
    """
    from guardrail._ports import SystemClock
    from guardrail.errors import ConfigurationError

    try:
        table = _table(directory, provider)
        entries = table.entries()
    except ConfigurationError as error:
        raise stop_at(error, code=1) from None
    rows = [_as_json(entry) for entry in sorted(entries, key=lambda entry: entry.created)]
    if format is OutputFormat.json:
        say_json({"provider": table.name, "keys": rows})
        return
    if not rows:
        remark(f"{table.settings.keys_file} has no keys. Issue one: guardrail key issue")
        return
    columns = ("id", "principal", "created", "expires", "revoked", "note")
    table_rows = [tuple([str(row[name] or "-") for name in columns]) for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *table_rows, strict=True)]
    now = SystemClock.now()
    dead = {
        entry.id
        for entry in entries
        if entry.revoked is not None or (entry.expires is not None and entry.expires <= now)
    }
    for row in (columns, *table_rows):
        line = "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        say(line.rstrip(), color="red" if row[0] in dead else None)


def _table(directory: Path, name: str | None) -> _Table:
    """Return the table of type ``api_key``; raise `ConfigurationError` unless there is one."""
    from guardrail._documents import read_toml
    from guardrail.errors import ConfigurationError
    from guardrail.identity.api_keys.verifier import ApiKeySettings
    from guardrail.identity.id_prefixes import IdPrefix, prefix_in

    folder = files_of(directory)
    document = read_toml("guardrail.toml", folder.files["guardrail.toml"])
    tables = document.data.get("identity")
    tables = tables if isinstance(tables, dict) else {}
    named = [
        key
        for key, table in tables.items()
        if isinstance(table, dict) and table.get("type") == "api_key" and name in (None, key)
    ]
    if len(named) != 1:
        which = "[identity.NAME]" if name is None else f"[identity.{name}]"
        message = (
            f'The bundle has no table {which} with `type = "api_key"`. Add it, with `keys_file` '
            "and `secret_env`."
            if not named
            else "The bundle has several providers of API keys. Keep one."
        )
        raise ConfigurationError.at(document.at("identity"), "GR003", message)
    own = document.below("identity", named[0])
    settings = own.parse(ApiKeySettings)
    place = own.at("secret_env" if settings.secret_env is not None else "secret_file")
    others = [prefix_in(table) for name, table in tables.items() if name != named[0]]
    prefix = IdPrefix.of(settings.id_prefix, others)
    return _Table(folder, named[0], settings, place, prefix)


def _edit(
    table: _Table, change: Callable[[tuple[ApiKeyEntry, ...]], tuple[ApiKeyEntry, ...]]
) -> None:
    """Change the file of keys; exit with 1 if it is not valid, with 2 if it can't be changed."""
    from guardrail.errors import ConfigurationError
    from guardrail.identity.api_keys.entries import edit_entries

    try:
        edit_entries(table.path, table.settings.keys_file, change)
    except ConfigurationError as error:
        raise stop_at(error, code=1) from None
    except LookupError:
        problem = "the bundle has no key with this id. List the keys with `guardrail key list`."
    except OSError as error:
        problem = f"{table.path} cannot be written: {error.strerror or type(error).__name__}"
    else:
        return
    raise stop(problem)


def _caller(principal: str, parents: list[str], attrs: list[str]) -> Principal:
    """Return the principal of the options, or exit with 2."""
    from guardrail.cli.io.request_document import from_options
    from guardrail.errors import ConfigurationError
    from guardrail.testing.files.yaml_values import PrincipalSection, principal_of

    try:
        document = from_options(
            principal=principal,
            parents=parents,
            attrs=attrs,
            known=None,
            action=None,
            resource=None,
            facts=(),
        ).below("principal")
        return principal_of(document.parse(PrincipalSection), document)
    except ConfigurationError as error:
        raise stop_at(error, code=2) from None


def _span(text: str | None) -> float | None:
    if text is None:
        return None
    match = _SPAN.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise stop("--expires is not a time span. Give one such as 90d, 12h, 30m or 45s.")
    return float(int(match[1]) * _SECONDS[match[2]])


def _plain(value: Any) -> Any:
    """Return a frozen value as JSON data."""
    if hasattr(value, "items"):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _as_json(entry: ApiKeyEntry) -> dict[str, Any]:
    """Return an entry without its hash, and without its attributes, which may be personal."""
    from guardrail.identity.api_keys.entries import iso

    def time(seconds: float | None) -> str | None:
        return None if seconds is None else iso(seconds)

    return {
        "id": entry.id,
        "principal": str(entry.principal.entity),
        "parents": [str(parent.entity) for parent in entry.parents],
        "created": time(entry.created),
        "expires": time(entry.expires),
        "revoked": time(entry.revoked),
        "note": entry.note,
    }


COMMAND: Final = CommandGroup(
    "key",
    help="Issue, revoke and list a bundle's API keys.",
    example="""guardrail key issue policies/scoring --principal 'Service::"nightly"'""",
    commands=(Command("issue", issue), Command("revoke", revoke), Command("list", list_keys)),
    section=HelpSection.callers,
)
