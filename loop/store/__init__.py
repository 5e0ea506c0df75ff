"""The feedback store: tables, transactions and queries. Frozen values out, never live rows.

``engine`` opens transactions, ``schema`` knows the revision, and one module a noun asks and answers:
``feedback`` (sources and corrections), ``snapshots``, ``runs`` (claims and leases), ``versions`` (versions,
verdicts and the alias ledger). Every query takes the session that its caller opened on ``Store``.
"""

from loop.store.engine import Store

__all__ = ["Store"]
