"""Slots, the scheduler, and the process that runs a night."""
