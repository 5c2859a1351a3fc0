"""How a database of an older version becomes one of this version, a revision a file (Alembic)."""
