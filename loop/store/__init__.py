"""The feedback store: tables, transactions and queries. Queries return frozen values, never live rows.

``engine`` opens transactions and ``schema`` checks the revision. The queries are grouped by noun: ``feedback``
(sources, uploads), ``nights`` (runs, snapshots, versions, the alias ledger), ``phones`` (the feed), ``service`` (keys,
events, webhooks, health), ``backup``. Every query takes the session that its caller opened on ``Store``.
"""

from loop.store.engine import Store

__all__ = ["Store"]
