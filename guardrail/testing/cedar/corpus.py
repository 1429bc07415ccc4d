"""``python -m guardrail.testing.cedar.corpus DIR`` replays Cedar's integration tests.

It finds the cases in a folder: JSON files in the format of Cedar's public integration tests, with
paths relative to the folder. A folder without a case is an error.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from guardrail._documents import read_json
from guardrail.errors import ConfigurationError
from guardrail.testing.cedar.corpus_case import CorpusCase, requests_of
from guardrail.testing.cedar.corpus_report import CorpusReport, Failure


def replay(root: Path) -> CorpusReport:
    """Replay every case below a folder; paths in a case are relative to the folder."""
    report = CorpusReport()
    for path in sorted(root.rglob("*.json")):
        name = path.relative_to(root).as_posix()
        try:
            data = read_json(name, path.read_bytes()).data
            if not isinstance(data, dict) or "policies" not in data or requests_of(data) is None:
                continue  # entities, a schema
            report.cases += 1
            CorpusCase(root, name, data, report).replay()
        except (ConfigurationError, OSError) as error:
            message = " ".join(str(error).split())
            report.failures.append(Failure(name, "unreadable", message))
        except ValueError:  # Cedar's error texts may contain values
            message = "Cedar rejects the case, because of the name of a type or a cycle."
            report.failures.append(Failure(name, "unreadable", message))
    return report


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit status.

    It is 0 if every comparison agrees, 1 if one does not or no request was replayed, 2 for wrong
    usage.
    """
    parser = argparse.ArgumentParser(
        prog="python -m guardrail.testing.cedar.corpus",
        description="Replay test cases in the format of Cedar's integration tests.",
    )
    parser.add_argument("directory", metavar="DIR", type=Path, help="the corpus")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    options = parser.parse_args(arguments)
    if not options.directory.is_dir():
        parser.error("DIR is not a folder. Give the folder of the corpus.")
    report = replay(options.directory)
    if not report.cases and not report.failures:
        parser.error("DIR has no case. Give a folder of JSON files with `policies` and `requests`.")
    is_json = options.format == "json"
    sys.stdout.write(json.dumps(report.as_json(), indent=2) if is_json else str(report))
    sys.stdout.write("\n")
    return 1 if report.failures or not report.raw else 0


if __name__ == "__main__":
    sys.exit(main())
