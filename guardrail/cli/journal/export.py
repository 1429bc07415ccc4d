"""``guardrail journal export``: sends a journal's calls to an OpenTelemetry collector.

A signal ends it after the current request. It sends only to the given address, and over plain http
only to this machine, unless --unsafe-http allows other machines.
"""

from __future__ import annotations

import hashlib
import re
import signal as signals
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import typer

from guardrail._http_client import is_loopback
from guardrail.cli.io.journal import JournalArgument, KeyFileOption, UnreadParts, keys_of
from guardrail.cli.io.terminal import complain, say, stop
from guardrail.cli.registry import Command

#: RFC 9110 §5.6.2 and §5.5: the name and the value of a header.
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[\t\x20-\x7e]*")


class Signal(StrEnum):
    """The kind of telemetry that calls are sent as."""

    logs = "logs"
    spans = "spans"


def export(
    path: JournalArgument,
    *,
    endpoint: Annotated[
        str,
        typer.Option(
            metavar="URL", help="The address of the collector: https://collector.example:4318."
        ),
    ],
    signal: Annotated[
        Signal, typer.Option(help="Send calls as log events, or as spans.")
    ] = Signal.logs,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Keep sending new calls until a signal ends it.")
    ] = False,
    cursor: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The cursor file. Default: one in the journal."),
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A header to send with each request. Repeatable."),
    ] = None,
    ca: Annotated[
        Path | None, typer.Option(metavar="FILE", help="CA certificates to trust, in PEM.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, max=10_000, help="Calls per request.")] = 500,
    timeout: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="How long to try, without --follow.")
    ] = 60.0,
    unsafe_http: Annotated[
        bool, typer.Option("--unsafe-http", help="Allow http to another machine.")
    ] = False,
    key_file: KeyFileOption = None,
) -> None:
    r"""Send a journal's calls to an OTLP collector, over HTTP.

    Each call is sent at least once. A cursor file stores the position up to which
    the collector has acknowledged calls, and the next export continues there.
    Needs the extra `otlp`:

      pip install 'guardrail-cedar[otlp]'

    Exit codes:

      0  every call was acknowledged, or --follow was ended by a signal
      1  not every call was acknowledged in time, the collector rejected some,
         or a part of the journal could not be read
      2  there is no journal, the address is not valid, or the key is missing

    Example:
      guardrail journal export var/journal --follow \
        --endpoint https://collector:4318
    """
    from guardrail.audit.journal.segment_progress import segment_files
    from guardrail.audit.journal_read.otlp_export import CallExporter, open_otlp
    from guardrail.errors import ConfigurationError

    _check(endpoint, unsafe_http=unsafe_http)
    headers = dict(_header(text) for text in header or ())
    digest = hashlib.sha256(f"{signal} {endpoint}".encode()).hexdigest()[:12]
    cursor_file = cursor or path / f"export-{digest}.cursor"
    unread = UnreadParts()
    if path.is_file():
        raise stop(
            f"{path} is one segment, and only a whole journal can be exported. Give its folder: "
            f"{path.parent}"
        )
    try:
        segment_files(path, may_be_new=follow)
        send = open_otlp(endpoint, signal=signal.value, headers=headers, ca_file=ca)
        with _progress() as advance:
            follower = CallExporter(
                path, send, cursor_file, keys=keys_of(key_file), batch=batch,
                on_acknowledged=advance, warn=complain, report_flaw=unread,
            )  # fmt: skip
            for number in (signals.SIGINT, signals.SIGTERM):
                signals.signal(number, lambda *_: follower.stop())
            is_done = follower.run(follows=follow, timeout_s=timeout)
    except ConfigurationError as error:
        raise stop(error.message) from None
    except OSError as error:
        raise stop(f"{error.filename or cursor_file}: {error.strerror}.") from None
    is_whole = is_done and not follower.rejected
    say(f"{follower.acknowledged:,} calls acknowledged", color="green" if is_whole else None)
    if follower.rejected:
        complain(f"The collector rejected {follower.rejected:,} calls, and does not have them.")
    if not is_done:
        complain("Not all calls were accepted. The next export sends the rest.")
    if not is_whole:
        raise typer.Exit(1)
    unread.end()


def _check(endpoint: str, *, unsafe_http: bool) -> None:
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise stop("--endpoint is not an address. Give https://HOST:4318.") from None
    is_text = endpoint.isascii() and not any(char <= " " for char in endpoint)
    if not host or port == 0 or not is_text or parts.scheme not in ("http", "https"):
        raise stop("--endpoint is not an address. Give https://HOST:4318.")
    if parts.username is not None or parts.password is not None:
        raise stop(
            "--endpoint has a user name, which is not sent. Remove it, and give the credential as "
            "--header 'Authorization=Basic ...'."
        )
    if parts.scheme == "http" and not (is_loopback(host) or unsafe_http):
        raise stop(
            "--endpoint uses plain http, which others can read on the way. Use https, or add "
            "--unsafe-http."
        )


def _header(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or _NAME.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
        raise stop("--header is not NAME=VALUE with a valid HTTP name and value. Correct it.")
    return name, value


@contextmanager
def _progress() -> Iterator[Callable[[int], None] | None]:
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    columns: tuple[Any, ...] = (SpinnerColumn(), TextColumn("{task.completed:,} acknowledged"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda sent: bar.update(task, completed=sent)


COMMAND: Final = Command("export", export)
