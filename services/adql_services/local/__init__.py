"""A whole run on one machine: starts every service as a process, watches, and writes the run's folder."""
