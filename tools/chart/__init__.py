"""Writes schema, table and what defines a run for the Helm chart, from its values and from the program's own types."""

from tools.chart.comments import ChartError, Parameter, parameters
from tools.chart.readme import table, with_table
from tools.chart.schema import schema_of

__all__ = ["ChartError", "Parameter", "parameters", "schema_of", "table", "with_table"]
