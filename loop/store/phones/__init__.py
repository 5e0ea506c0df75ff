"""Queries about the feed: roots, signed feeds, withdrawals."""
