"""Draws the shipped Grafana dashboards from a Prometheus, without Grafana."""
