"""Loads and checks the policies of a bundle, and evaluates them with Cedar.

Only this package imports cedarpy.

source    the files of a bundle: the folder, the text of its policies, links and templates
schema    the schema, the entities, and values in the types that the schema declares
engine    what a call runs: snapshots, their indexes, and one evaluation by Cedar
analysis  tools for people: explanations, mutations, comparisons
lint      the findings of ``guardrail check``

Internal: applications import nothing from here.
"""

from guardrail.policy.engine.load import (
    BundleSettings,
    CheckSettings,
    ResourceSettings,
    load_snapshots,
)
from guardrail.policy.engine.shadow import Shadow
from guardrail.policy.engine.snapshot import Answer, Question, Snapshot
from guardrail.policy.schema.schema import read_uid
from guardrail.policy.source.folder import Folder, read_folder
from guardrail.policy.source.parser import Vocabulary

__all__ = [
    "Answer",
    "BundleSettings",
    "CheckSettings",
    "Folder",
    "Question",
    "ResourceSettings",
    "Shadow",
    "Snapshot",
    "Vocabulary",
    "load_snapshots",
    "read_folder",
    "read_uid",
]
