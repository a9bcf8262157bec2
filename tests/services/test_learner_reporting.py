"""What a learner publishes of its wire."""

from adql.telemetry.metrics import REGISTRY
from adql_services.learner.reporting import MetricsReport


def published(operation: str, direction: str) -> float:
    labels = {"operation": operation, "direction": direction, "encoding": "bfloat16"}
    return REGISTRY.get_sample_value("adql_wire_bytes_total", labels) or 0.0


def test_bytes_of_vectors_are_published_once_by_operation_and_direction():
    report, before = MetricsReport(), published("push", "sent")
    report.publish_wire({("push", "sent"): 10}, "bfloat16")
    report.publish_wire({("push", "sent"): 30, ("pull", "received"): 7}, "bfloat16")
    assert (published("push", "sent") - before, published("pull", "received")) == (30, 7)
