"""Checks a caller against a bundle's schema and entities, before there are policies.

For tools that write callers to files. It runs the code that a call runs, `Subjects`, so that a
caller that is accepted here is accepted at a call.
"""

from __future__ import annotations

from guardrail.errors import ConfigurationError, NotAuthorized, Place
from guardrail.policy.engine.principals import Subjects
from guardrail.policy.schema.entities import read_entities
from guardrail.policy.schema.schema import read_schema
from guardrail.policy.source.folder import Folder
from guardrail.values import Principal

_SCHEMA = "schema.cedarschema"


def hold_caller(folder: Folder, principal: Principal) -> None:
    """Hold a principal to the schema and the entities of a bundle.

    Raises:
        ConfigurationError: with the faults of the schema or of the entities.
        NotAuthorized: where a call of this principal would be refused: its type is not
            declared, its attributes do not fit, or a parent is unknown.
    """
    raw = folder.files.get(_SCHEMA)
    if raw is None:
        message = f"The bundle has no {_SCHEMA}. Add it: callers are held to it."
        raise ConfigurationError.at(Place(_SCHEMA), "GR010", message)
    schema = read_schema(_SCHEMA, raw)
    store, faults = read_entities(folder.files, schema)
    if store is None or faults:
        raise ConfigurationError(faults=tuple(faults))
    for kind in dict.fromkeys([principal.type, *(up.type for up in principal.parents)]):
        if not schema.declares(kind):
            message = f"The schema has no entity type {kind}. Correct the name, or declare it."
            raise NotAuthorized(message, code="wrong_type")
    Subjects(schema, store).of(principal)
