"""Queries over what one choice of namespace and release shows, as the panels use them."""

SELECTION = 'namespace=~"$namespace", app_kubernetes_io_instance=~"$release"'
"""Both match what has no such label, as under compose."""


def of(metric: str, labels: str = "") -> str:
    """Returns the selector of ``metric`` with further ``labels`` such as ``policy="greedy"``."""
    return f"{metric}{{{SELECTION}{', ' + labels if labels else ''}}}"


def rate(counter: str, labels: str = "", by: str = "pod") -> str:
    """Returns how fast ``counter`` grows a second, added up ``by`` labels."""
    return f"sum by ({by}) (rate({of(counter, labels)}[$__rate_interval]))"


def quantile(share: float, histogram: str) -> str:
    """Returns a quantile by pod; where nothing was observed there is no point, rather than NaN."""
    return f"histogram_quantile({share}, {rate(f'{histogram}_bucket', by='le, pod')}) >= 0"


def buckets(histogram: str) -> str:
    """Returns how many observations each bucket got, for a heat map."""
    return f"sum by (le) (increase({of(f'{histogram}_bucket')}[$__rate_interval]))"


def positive(expression: str) -> str:
    """Returns ``expression`` where it may divide something."""
    return f"({expression} > 0)"
