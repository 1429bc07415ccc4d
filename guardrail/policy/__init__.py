"""Bundle to snapshot: load, check, decide. The only room that imports cedarpy.

folder         the files of a bundle and their digest
text           policy text and its places
depth          bounds on text, before the parser sees it
language       grants, prohibitions, conditions
advice         what to do about an error message of Cedar
links          links.yaml: which templates become policies
templates      templates made policies
schema         the schema, and what the validator says of types
validation     what the validator says of the policies, with places
entities       which entities are known
reads          what policies can read
plan           what a call of each action needs
load           all of it, in order: from a folder to its snapshots
typing         facts from Python to Cedar
decide         one evaluation, and what it means
snapshot       the frozen result, which calls are asked of
shadow         policies that only look on, and in what they would decide otherwise
lint           what is weak in a bundle that loads; only `guardrail check` asks
overview       what a bundle reads and declares, told to people
clauses        policies taken apart: what each truth of a clause comes to
edits          small changes of a policy's text, for mutants
variables      the values that a policy reads, for comparisons of bundles
supposed       a snapshot with other attributes of its entities
request_names  names in a request that the bundle does not have
needs          what must be known of a request that is told in part
explain        why a request is decided as it is
bare           the policies without a guard, for Cedar's own tools
rehearse       a first request to every action, in the child process of a reload

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
