"""Attempts as processes of this machine: slots, zygotes, logs."""
