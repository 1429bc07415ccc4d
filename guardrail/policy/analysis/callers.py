"""Checks a caller against a bundle's schema and entities; the policies need not load.

Tools that write callers to files use it. It runs `PrincipalPreparer`, as a call does, so a caller
that is accepted here is accepted in a call.
"""

from __future__ import annotations

from guardrail.errors import ConfigurationError, NotAuthorized, Place
from guardrail.policy.engine.principals import PrincipalPreparer
from guardrail.policy.schema.entities import read_entities
from guardrail.policy.schema.schema import read_schema
from guardrail.policy.source.folder import Folder
from guardrail.values import Principal

_SCHEMA = "schema.cedarschema"


def check_caller(folder: Folder, principal: Principal) -> None:
    """Check a principal against the schema and the entities of a bundle.

    Raises:
        ConfigurationError: with the faults of the schema or of the entities.
        NotAuthorized: where a call of this principal would be denied: its type is not
            declared, its attributes do not fit, or a parent is unknown.
    """
    raw = folder.files.get(_SCHEMA)
    if raw is None:
        message = f"The bundle has no {_SCHEMA}. Add it: callers are checked against it."
        raise ConfigurationError.at(Place(_SCHEMA), "GR010", message)
    schema = read_schema(_SCHEMA, raw)
    store, faults = read_entities(folder.files, schema)
    if store is None or faults:
        raise ConfigurationError(faults=tuple(faults))
    for kind in dict.fromkeys([principal.type, *(up.type for up in principal.parents)]):
        if not schema.declares(kind):
            message = f"The schema has no entity type {kind}. Correct the name, or declare it."
            raise NotAuthorized(message, code="wrong_type")
    PrincipalPreparer(schema, store).of(principal)
