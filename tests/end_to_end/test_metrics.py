"""What a guard's cache did and how its reloads went, as the SDK's reader sees it."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = """
import json, sys
from pathlib import Path
from bundles import GRANT, principal
from guardrail import Guard
from guardrail.errors import ConfigurationError

folder = Path(sys.argv[1])
guard = Guard.from_dir(folder)

# As in a service, the provider comes after the module that has the guard.
from opentelemetry.metrics import set_meter_provider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

reader = InMemoryMetricReader()
set_meter_provider(MeterProvider([reader], shutdown_on_exit=False))

def ask(times):
    for _ in range(times):
        guard.decide(principal=principal(), action="predict", resource='Model::"tumour"')

ask(3)
(folder / "policies.cedar").write_text(GRANT + "// changed")
guard.reload()
ask(2)
(folder / "policies.cedar").write_text("permit (")
try:
    guard.reload()
except ConfigurationError:
    pass
print(json.dumps([
    [metric.name, sorted(point.attributes.items()), point.value]
    for scope in reader.get_metrics_data().resource_metrics[0].scope_metrics
    for metric in scope.metrics
    for point in metric.data.data_points
]))
"""


def test_cache_and_reloads_are_counted_across_reloads(make_bundle):
    done = subprocess.run(  # noqa: S603  our own interpreter, on a text of our own
        [sys.executable, "-c", SCRIPT, str(make_bundle())],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
    )
    name = ["guardrail.guard.name", "small"]
    assert sorted(json.loads(done.stdout)) == [
        ["guardrail.decision.cache.hits", [name], 3],
        ["guardrail.decision.cache.misses", [name], 2],
        ["guardrail.policy.reloads", [name, ["guardrail.reload.outcome", "failed"]], 1],
        ["guardrail.policy.reloads", [name, ["guardrail.reload.outcome", "ok"]], 1],
    ]
