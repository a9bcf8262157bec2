"""What a learner publishes of its wire."""

from types import SimpleNamespace

from adql.telemetry.metrics import REGISTRY
from adql_services.learner.reporting import MetricsReport


def published(operation: str, direction: str) -> float:
    labels = {"operation": operation, "direction": direction, "encoding": "bfloat16"}
    return REGISTRY.get_sample_value("adql_wire_bytes_total", labels) or 0.0


def client(**bulk_bytes: int) -> SimpleNamespace:
    """What the report reads of a ParameterClient; keys are operation_direction."""
    pairs = {tuple(name.split("_")): count for name, count in bulk_bytes.items()}
    return SimpleNamespace(bulk_bytes=pairs, encoding="bfloat16", reconnects=0, updates_at_risk=0, updates_resent=0)


def test_bytes_of_vectors_are_published_once_by_operation_and_direction():
    report, before = MetricsReport(), published("push", "sent")
    report.publish_wire(client(push_sent=10))
    report.publish_wire(client(push_sent=30, pull_received=7))
    assert (published("push", "sent") - before, published("pull", "received")) == (30, 7)
