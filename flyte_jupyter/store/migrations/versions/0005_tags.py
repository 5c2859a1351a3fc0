"""Labels and tags of executions, to be asked for. Never edited, as every revision."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Connection, MetaData, Table, Text

revision = "0005"
down_revision = "0004"

metadata = MetaData(naming_convention={"pk": "pk_%(table_name)s"})

tags = Table(
    "tags",
    metadata,
    Column("tag", Text, nullable=False, primary_key=True),
    Column("value", Text, nullable=False, primary_key=True),
    Column("run_id", BigInteger, nullable=False, primary_key=True),
    sqlite_with_rowid=False,
)


def upgrade() -> None:
    """As every revision has it."""
    from alembic import op

    make(op.get_bind())


def make(bind: Connection) -> None:
    """Add the table, with what the executions that are there already say; every row stays."""
    metadata.create_all(bind, checkfirst=False)
    found = bind.exec_driver_sql("SELECT run_id, body FROM executions")
    while rows := found.fetchmany(1000):
        for run_id, body in rows:
            if added := [(*pair, run_id) for pair in _said_by(body)]:
                bind.exec_driver_sql(
                    "INSERT INTO tags (tag, value, run_id) VALUES (?, ?, ?)", added
                )


def _said_by(body: bytes) -> set[tuple[str, str]]:
    from flyte_jupyter.idl import admin

    spec = admin.Execution.FromString(body).spec
    return {*spec.labels.values.items(), *((tag, "") for tag in spec.tags)}
