"""Slots, the scheduler, and the process that runs a night."""

PROCESS_NAME = "scheduler"
"""The process name in a scheduler's heartbeats."""
