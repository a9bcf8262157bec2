"""The samples that the code can export, by the kinds of their metrics."""

from prometheus_client import Counter, Gauge, Histogram

from adql.telemetry import metrics

OBJECTS = [value for value in vars(metrics).values() if isinstance(value, Counter | Gauge | Histogram)]
PROCESS = [family for family in metrics.PROCESS.collect() if family.name.startswith("adql_process_")]
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}


def samples_by_metric() -> dict[str, list[str]]:
    """Returns the names of each metric's samples."""
    families = [metric.describe()[0] for metric in OBJECTS] + PROCESS
    return {family.name: [family.name + suffix for suffix in SUFFIXES[family.type]] for family in families}


def growing() -> set[str]:
    """Returns the samples that only grow, of which a rate means something."""
    families = [metric.describe()[0] for metric in OBJECTS] + PROCESS
    return {family.name + suffix for family in families if family.type != "gauge" for suffix in SUFFIXES[family.type]}
