"""The words that every part of the platform shares: Flyte's messages, identifiers and types.

Pure: nothing here waits, logs, reads a clock or touches a file.
"""
