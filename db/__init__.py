"""MEMORY: tables, migrations, the write path and the reads. Knows domain, knows nothing of GraphQL."""
