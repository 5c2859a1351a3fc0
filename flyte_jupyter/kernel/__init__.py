"""The author's library and the task runtime."""
