"""How the parts speak: the binary body, resources, problems, the lean HTTP connection and retries."""
