"""``guardrail journal export``: a journal handed on to a collector.

Owns the options, and how it ends: after the request that is under way, whatever the signal.
Refuses to find an address by itself, and to send over a wire that others can read.
"""

from __future__ import annotations

import hashlib
import signal as signals
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from guardrail._http_client import is_loopback
from guardrail.cli.io.terminal import complain, say, stop
from guardrail.cli.journal.journal import JournalArgument, KeyFileOption, Unread, keys_of


class Signal(StrEnum):
    """As what calls are sent."""

    logs = "logs"
    spans = "spans"


def export(
    path: JournalArgument,
    *,
    endpoint: Annotated[
        str,
        typer.Option(metavar="URL", help="The collector: https://collector.example:4318."),
    ],
    signal: Annotated[
        Signal, typer.Option(help="As log events `guardrail.runtime.call`, or as spans.")
    ] = Signal.logs,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with those that come, until it is ended.")
    ] = False,
    cursor: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="How far the collector is. Default: in the journal."),
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Sent with each request; may be given again."),
    ] = None,
    ca: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Certificates to trust, in PEM.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, max=10_000, help="Calls in one request.")] = 500,
    timeout: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="How long to try without --follow.")
    ] = 60.0,
    unsafe_http: Annotated[
        bool, typer.Option("--unsafe-http", help="Allow http to another machine.")
    ] = False,
    key_file: KeyFileOption = None,
) -> None:
    """Send a journal's calls to a collector by OTLP over HTTP, each at least once.

    A cursor keeps how far the collector has acknowledged; the next time goes on from there.
    Needs the extra `otlp`: pip install 'guardrail-cedar[otlp]'.

    Exit code 0: all was acknowledged, or it was ended while it followed. 1: not all was
    acknowledged in time, the collector rejected some, or a part of the journal could not be read;
    the reason is shown. 2: there is no journal, no such address, or the key does not fit.

    Example: guardrail journal export var/guardrail --endpoint https://collector:4318 --follow
    """
    from guardrail.audit.journal.segment_progress import segment_files
    from guardrail.audit.journal_read.otlp_export import CallExporter, open_otlp
    from guardrail.errors import ConfigurationError

    _check(endpoint, unsafe_http=unsafe_http)
    headers = dict(_header(text) for text in header or ())
    place = hashlib.sha256(f"{signal} {endpoint}".encode()).hexdigest()[:12]
    kept = cursor or path / f"export-{place}.cursor"
    unread = Unread()
    try:
        segment_files(path, may_be_new=follow)
        send = open_otlp(endpoint, signal=signal.value, headers=headers, ca_file=ca)
        with _progress() as told:
            follower = CallExporter(
                path, send, kept, keys=keys_of(key_file), batch=batch, on_acknowledged=told,
                warn=complain, report_flaw=unread,
            )  # fmt: skip
            for number in (signals.SIGINT, signals.SIGTERM):
                signals.signal(number, lambda *_: follower.stop())
            is_done = follower.run(follows=follow, timeout_s=timeout)
    except ConfigurationError as error:
        raise stop(error.message) from None
    except OSError as error:
        raise stop(f"{error.filename or kept}: {error.strerror}.") from None
    is_whole = is_done and not follower.rejected
    say(f"{follower.acknowledged:,} calls acknowledged", color="green" if is_whole else None)
    if follower.rejected:
        complain(f"The collector rejected {follower.rejected:,} calls, and has not kept them.")
    if not is_done:
        complain("Not all calls were accepted. The next export sends the rest.")
    if not is_whole:
        raise typer.Exit(1)
    unread.end()


def _check(endpoint: str, *, unsafe_http: bool) -> None:
    try:
        parts = urlsplit(endpoint)
        host = parts.hostname or ""
    except ValueError:
        raise stop("--endpoint is no address: expected https://HOST:4318.") from None
    if not host or parts.scheme not in ("http", "https"):
        raise stop("--endpoint is no address: expected https://HOST:4318.")
    if parts.scheme == "http" and not (is_loopback(host) or unsafe_http):
        raise stop("http to another machine can be read on the way. Use https, or --unsafe-http.")


def _header(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise stop("--header: expected NAME=VALUE.")
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
