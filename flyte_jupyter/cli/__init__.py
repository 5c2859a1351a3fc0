"""The command line: ``flyte-jupyter``."""
