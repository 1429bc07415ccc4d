"""``guardrail schema``: the whole schema of a bundle, for other Cedar tools.

Owns its printing. Refuses a schema that does not parse; the policies are of no concern here, so
that an editor gets the schema of a bundle that is being written.
"""

from __future__ import annotations

import typer

from guardrail.cli.check import BundleArgument, files_of
from guardrail.cli.terminal import stop_at


def schema(directory: BundleArgument) -> None:
    """Print the bundle's schema with the standard facts before it, as Cedar's schema text.

    Exit code 0: it was printed. 1: it is none. 2: there is no such folder.

    Example: guardrail schema policies/clinical_scoring > whole.cedarschema
    """
    from guardrail import ConfigurationError
    from guardrail.policy.overview import whole_schema

    try:
        text = whole_schema(files_of(directory))
    except ConfigurationError as error:
        raise stop_at(error, code=1) from None
    typer.echo(text, nl=not text.endswith("\n"))
