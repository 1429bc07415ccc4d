"""``guardrail token``: verifies a token as a bundle does, and shows the identity that it proves.

It never prints the token, and of its claims only the names, and the values of the principal. The
token is not a command-line argument, which other users and the shell's history could see.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from guardrail.cli.commands.check import BundleArgument, read
from guardrail.cli.io.terminal import (
    FormatOption,
    OutputFormat,
    complain,
    say,
    say_json,
    stop,
    stop_at,
)
from guardrail.cli.registry import Command, HelpSection

if TYPE_CHECKING:
    from guardrail.values import Identity


def token(
    directory: BundleArgument,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="[FILE]",
            help="The file with the token, without `Bearer`. Default: standard input.",
            allow_dash=True,
        ),
    ] = Path("-"),
    *,
    at: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", help="Verify the token as of this time, in seconds since the epoch."
        ),
    ] = None,
    format: FormatOption = OutputFormat.text,
) -> None:
    """Verify a token as the bundle does, and show its identity.

    Prints the principal, how it was authenticated, and the names of the token's
    claims, but never the token. Fetches keys if the bundle's provider publishes
    them.

    Exit codes:

      0  the token is valid
      1  it is not, for the reason shown; or the bundle does not load
      2  there is no token

    Example:
      guardrail token policies/clinical_scoring < token.txt
    """
    from guardrail import ConfigurationError
    from guardrail._ports import SystemClock
    from guardrail.errors import Denied
    from guardrail.identity import PendingIdentity, resolve_or_defer

    text = _read(file)
    try:
        bundle, _ = read(directory)
    except ConfigurationError as error:
        raise stop_at(error, code=1) from None
    now = SystemClock.now() if at is None else at
    knows = bundle.snapshot.store.knows
    claims = _names(text)
    try:
        outcome = resolve_or_defer(lambda: bundle.providers.authenticate(text, now, knows=knows))
        identity = outcome.resolve() if isinstance(outcome, PendingIdentity) else outcome
    except Denied as error:
        if format is OutputFormat.json:
            say_json(
                {
                    "holds": False,
                    "code": error.code,
                    "path": error.path,
                    "message": error.message,
                    "claims": claims,
                }
            )
        else:
            complain(f"{error.code}: {error.message}")
            _print_claims(claims)
        raise typer.Exit(1) from None
    shown = _as_json(identity, now)
    if format is OutputFormat.json:
        say_json({"holds": True, **shown, "claims": claims})
        return
    _print_identity(shown)
    _print_claims(claims)


def _read(file: Path) -> str:
    from guardrail.identity.tokens.verifier import LIMIT_CHARS

    limit = LIMIT_CHARS + 2
    try:
        if str(file) == "-":
            text = sys.stdin.read(limit)
        else:
            with file.open(encoding="utf-8", errors="replace") as stream:
                text = stream.read(limit)
    except OSError:
        raise stop(f"{file} can't be read. Name the file with the token.") from None
    text = text.strip()
    if not text:
        raise stop("there is no token. Name a file with it, or pass it on standard input.")
    return text


def _names(text: str) -> list[str]:
    """Return the names of a token's claims, valid or not; an empty list if it is not a JWT."""
    from guardrail.errors import Denied
    from guardrail.identity.tokens.verifier import SignedToken

    try:
        return sorted(SignedToken(text).claims)
    except Denied:
        return []


def _as_json(identity: Identity, now: float) -> dict[str, Any]:
    principal = identity.principal
    expires_at = identity.expires_at
    return {
        "principal": str(principal.uid),
        "in": [str(parent) for parent in principal.parents],
        "attributes": sorted(principal.attrs),
        "provider": identity.provider,
        "issuer": identity.issuer,
        "method": identity.method,
        "mfa": identity.mfa,
        "delegated": identity.delegated,
        "scopes": sorted(identity.scopes or ()),
        "expires_in_s": None if expires_at is None else int(expires_at - now),
    }


def _print_identity(shown: Mapping[str, Any]) -> None:
    within = f" in {', '.join(shown['in'])}" if shown["in"] else ""
    say(f"{shown['principal']}{within}", color="green")
    attributes = ", ".join(shown["attributes"]) or "none"
    say(f"  attributes  {attributes}")
    say(f"  provider    {shown['provider']} ({shown['method']}), issuer {shown['issuer']}")
    say(f"  mfa         {'yes' if shown['mfa'] else 'no'}")
    say(f"  delegated   {'yes' if shown['delegated'] else 'no'}")
    say(f"  scopes      {', '.join(shown['scopes']) or 'none'}")
    expires = shown["expires_in_s"]
    say(f"  expires     {'never' if expires is None else f'in {expires} s'}")


def _print_claims(claims: list[str]) -> None:
    if claims:
        say(f"  claims      {', '.join(claims)}")


COMMAND: Final = Command("token", token, HelpSection.callers)
