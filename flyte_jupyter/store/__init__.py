"""The one record of everything: runs, executions, registered entities, remembered outputs, changes. The only importer of SQLAlchemy."""
