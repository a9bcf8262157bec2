"""report.html."""

from adql.config import RunSpecification
from adql_services.local.run_directory import RunDirectory
from adql_services.local.summary import Tree


def write_report(specification: RunSpecification, directory: RunDirectory, summary: Tree) -> None:
    """Writes it."""
