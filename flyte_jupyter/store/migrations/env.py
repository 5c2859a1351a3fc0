"""What Alembic runs: the revisions, on the connection and inside the transaction that the store hands over."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=False)
context.run_migrations()
