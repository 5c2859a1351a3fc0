"""The engine: a pure machine that decides (``core``), and a shell that does (``loop``, ``outbox``, ``watch``)."""
