"""Input specs: the files ``inputs/*.yaml`` of a bundle, read strictly and made ready.

Owns `read_specs` and `Spec`, what all kinds of specs have in common. Refuses kinds that
this version has not, by name: a spec that were ignored would let everything through. Read
at load; at a call, `guardrail.obligations.input` asks a spec to check a view.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from guardrail.documents import Document, Section
from guardrail.errors import ConfigurationError, Fault
from guardrail.obligations.record_spec import RecordSection, RecordSpec
from guardrail.obligations.table_spec import TableSection, TableSpec
from guardrail.obligations.tensor_spec import TensorSection, TensorSpec
from guardrail.values import View


class Spec(Protocol):
    """What an input must be. Made at load; frozen."""

    @property
    def name(self) -> str:
        """The spec's name: ``patients`` for ``inputs/patients.yaml``."""
        ...

    def check(self, view: View) -> None:
        """Raise `guardrail.values.Unmet` where the input is anything else."""
        ...


def read_specs(documents: Mapping[str, Document]) -> dict[str, Spec]:
    """Return the specs of a bundle by name.

    Arguments:
        documents: the parsed ``inputs/*.yaml``, by the name of their spec.

    Raises:
        ConfigurationError: with every fault of all files: ``GR300`` where a spec is not
            valid, ``GR004`` where its kind is not built yet.
    """
    specs: dict[str, Spec] = {}
    faults: list[Fault] = []
    for name, document in sorted(documents.items()):
        try:
            specs[name] = _read_spec(name, document)
        except ConfigurationError as error:
            faults.extend(error.faults)
    if faults:
        raise ConfigurationError(faults=tuple(faults))
    return specs


#: Each kind of spec: the model of its file, and what makes a spec of it.
_KINDS: Final[Mapping[str, tuple[type[Section], Callable[[str, Any], Spec]]]] = {
    "tensor": (TensorSection, TensorSpec.from_section),
    "record": (RecordSection, RecordSpec.from_section),
    "table": (TableSection, TableSpec.from_section),
}
_NOT_BUILT: Final = ("text", "messages")


def _read_spec(name: str, document: Document) -> Spec:
    kind = document.data.get("kind") if isinstance(document.data, Mapping) else None
    if kind == "table" and document.data.get("on_bad_row") == "quarantine":
        message = "`on_bad_row: quarantine` is not built yet in this version. Use reject."
        raise ConfigurationError.at(document.at("on_bad_row"), "GR004", message)
    if isinstance(kind, str) and kind in _KINDS:
        section, make = _KINDS[kind]
        return make(name, document.parse(section, code="GR300"))
    known = " or ".join(", ".join(_KINDS).rsplit(", ", 1))
    if isinstance(kind, str) and kind in _NOT_BUILT:
        message = f"`kind: {kind}` is not built yet in this version. Use {known}."
        raise ConfigurationError.at(document.at("kind"), "GR004", message)
    message = f"`kind` is required, and is {known}."
    raise ConfigurationError.at(document.at("kind"), "GR300", message)
