"""``guardrail.toml``: every fault of every table has its place, or the bundle loads."""

import json
from pathlib import Path

from tests.bundles import ENTITIES, GRANT, PATIENTS, SCHEMA
from tests.fuzz.harness import check_error, instrumented, main

with instrumented():
    from guardrail.bundle.assembly import load_bundle
    from guardrail.errors import ConfigurationError
    from guardrail.policy import Folder
    from guardrail.testing import FrozenClock

FILES = {
    "schema.cedarschema": SCHEMA.encode(),
    "policies.cedar": GRANT.encode(),
    "entities.json": json.dumps(ENTITIES).encode(),
    "inputs/patients.yaml": PATIENTS.encode(),
}


def test_one_input(data: bytes) -> None:
    files = {**FILES, "guardrail.toml": data}
    folder = Folder(Path("bundle"), files, "0" * 64)
    environ = {"TOKEN_SECRET": "0123456789abcdef" * 4}
    try:
        load_bundle(folder, clock=FrozenClock(1_700_000_000.0), environ=environ)
    except ConfigurationError as error:
        check_error(error, files)


if __name__ == "__main__":
    main(test_one_input)
