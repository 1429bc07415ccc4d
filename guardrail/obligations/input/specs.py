"""Input specs: the files in ``inputs/`` of a bundle, and an application's own models.

`read_specs` reads all of them at load; `Spec` is the interface of all kinds. An unknown kind is an
error, because a spec that is ignored would accept everything. On a call,
`guardrail.obligations.input.input` checks a view against a spec.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from guardrail._documents import Document, Section
from guardrail._faults import faults_of
from guardrail._nearest import did_you_mean
from guardrail.errors import ConfigurationError, Fault
from guardrail.obligations.input.json_schema import JsonSchemaSpec
from guardrail.obligations.input.messages import MessagesSection, MessagesSpec
from guardrail.obligations.input.model import read_models
from guardrail.obligations.input.record import RecordSection, RecordSpec
from guardrail.obligations.input.table import TableSection, TableSpec
from guardrail.obligations.input.tensor import TensorSection, TensorSpec
from guardrail.obligations.input.text import TextSection, TextSpec
from guardrail.values import View

if TYPE_CHECKING:
    from pydantic import BaseModel

#: The default: the application registers no models.
_NO_MODELS: Final[Mapping[str, Any]] = {}


class Spec(Protocol):
    """An input spec. Made at load; frozen."""

    @property
    def name(self) -> str:
        """The spec's name: ``patients`` for ``inputs/patients.yaml``."""
        ...

    @property
    def keys(self) -> frozenset[str]:
        """The keys of an input that the spec names; a path shows only these."""
        ...

    def check(self, view: View) -> None:
        """Raise `guardrail.values.ObligationNotMet` if the input does not meet the spec."""
        ...


def read_specs(
    documents: Mapping[str, Document], models: Mapping[str, type[BaseModel]] = _NO_MODELS
) -> dict[str, Spec]:
    """Return the specs of a bundle by name.

    Arguments:
        documents: the parsed ``inputs/*.yaml`` and ``inputs/*.json``, by the name of their spec.
        models: the application's pydantic models, by the name of their spec.

    Raises:
        ConfigurationError: with every fault of all files: ``GR300`` if a spec is invalid or a model
            has the same name, ``GR004`` for what is not implemented; without faults if a model is
            not one.
    """
    specs: dict[str, Spec] = {**read_models(models)}
    faults: list[Fault] = []
    for name in sorted(specs.keys() & documents.keys()):
        message = f"A model is registered under {name}, too. Rename the file, or the model."
        faults.append(Fault("GR300", documents[name].at(), message))
    for name, document in sorted(documents.items()):
        try:
            specs[name] = read_spec(name, document)
        except ConfigurationError as error:
            faults.extend(faults_of(error, document.at(), code="GR300"))
    if faults:
        raise ConfigurationError(faults=tuple(faults))
    return specs


class _Kind(NamedTuple):
    section: type[Section]
    make: Callable[[str, Any], Spec]


#: Each kind of spec: the model of its file, and the function that makes the spec.
KINDS: Final[Mapping[str, _Kind]] = {
    "tensor": _Kind(TensorSection, TensorSpec.from_section),
    "record": _Kind(RecordSection, RecordSpec.from_section),
    "table": _Kind(TableSection, TableSpec.from_section),
    "text": _Kind(TextSection, TextSpec.from_section),
    "messages": _Kind(MessagesSection, MessagesSpec.from_section),
}


def read_spec(name: str, document: Document) -> Spec:
    """Return the spec of one file; raise `ConfigurationError` as `read_specs` does."""
    if document.file.endswith(".json"):
        return JsonSchemaSpec.from_document(name, document)
    kind = document.data.get("kind") if isinstance(document.data, Mapping) else None
    if kind == "table" and document.data.get("on_bad_row") == "quarantine":
        message = "`on_bad_row: quarantine` is not built yet in this version. Use reject."
        raise ConfigurationError.at(document.at("on_bad_row"), "GR004", message)
    if isinstance(kind, str) and kind in KINDS:
        section, make = KINDS[kind]
        return make(name, document.parse(section, code="GR300"))
    known = " or ".join(", ".join(KINDS).rsplit(", ", 1))
    hint = did_you_mean(kind, KINDS) if isinstance(kind, str) else ""
    message = f"`kind` is required, and is {known}. {hint}".rstrip()
    raise ConfigurationError.at(document.at("kind"), "GR300", message)
