"""Queries about uploads: sources, corrections, live scores, erasures."""
