"""Queries about the feed: roots, sequences, withdrawals."""
