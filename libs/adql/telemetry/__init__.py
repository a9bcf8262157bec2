"""Metrics and logs: every Prometheus metric is named once, every line goes to stderr."""
