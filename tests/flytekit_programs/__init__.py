"""Workflows as flytekit's users write them, one family a module. Serialised by flytekit itself: ``flytekit_specs.py``."""
