"""What a service says at /metrics."""

from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from adql.wire import routes
from adql.wire.connection import Connection


@dataclass(frozen=True)
class MetricsPage:
    """One scrape: kinds by metric, values by sample."""

    kinds: dict[str, str]
    samples: list[tuple[str, dict[str, str], float]]

    def value(self, name: str, **labels: str) -> float:
        """Returns the sum over the samples of ``name`` that have ``labels``; 0 where there is none."""
        return sum(value for found, has, value in self.samples if found == name and labels.items() <= has.items())

    def has(self, name: str, **labels: str) -> bool:
        """Whether there is a sample of ``name`` with ``labels``, whatever its value."""
        return any(found == name and labels.items() <= has.items() for found, has, _ in self.samples)

    def by(self, name: str, label: str) -> dict[str, float]:
        """Returns the values of ``name`` that are not 0, by one label."""
        return {has[label]: value for found, has, value in self.samples if found == name and value}


def scrape(side: str) -> MetricsPage:
    """Reads the page of a side port."""
    with Connection(side, token=lambda: None, timeout_seconds=5) as connection:
        text = bytes(connection.request("GET", routes.METRICS).body).decode()
    families = list(text_string_to_metric_families(text))
    kinds = {sample.name: family.type for family in families for sample in family.samples}
    return MetricsPage(kinds, [(s.name, s.labels, s.value) for family in families for s in family.samples])
