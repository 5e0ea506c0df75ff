"""Queries about nights: slots, runs, snapshots, versions, the alias ledger."""
