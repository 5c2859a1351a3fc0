"""What runs inside an attempt's process, and the parents that such processes are forked from."""
