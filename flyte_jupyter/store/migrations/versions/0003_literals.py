"""Small inputs and outputs of nodes, which no file is made of. Never edited, as every revision."""

from __future__ import annotations

from sqlalchemy import Column, Connection, LargeBinary, MetaData, Table, Text

revision = "0003"
down_revision = "0002"

metadata = MetaData(naming_convention={"pk": "pk_%(table_name)s"})

literals = Table(
    "literals",
    metadata,
    Column("uri", Text, nullable=False, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)


def upgrade() -> None:
    """As every revision has it."""
    from alembic import op

    make(op.get_bind())


def make(bind: Connection) -> None:
    """Add the table; every row stays."""
    metadata.create_all(bind, checkfirst=False)
