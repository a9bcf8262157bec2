"""The replay service: the table's verbs over HTTP, waiting for those who are too fast, snapshots on its own volume."""
