"""Runs and the lease that keeps them one at a time.

The rules:
- A run is claimed in an ``exclusive`` transaction; while another holds an unexpired lease, the claim is refused.
- A lease that has expired, or whose holder no longer runs on this machine, is taken over: the old run is marked as
  failed, and its slot is free again. A killed night therefore costs nothing but itself.
- The run's id is its fencing token. Every later write of a run happens in a transaction that first calls ``hold``: a
  run that was taken over in between is refused, even if its process is alive.
- A run with something to teach reserves its version number. A failed run leaves a gap; a number is never reused.
- Leases are compared with the clock of the claiming machine: machines that share a store must agree on the time to
  within a lease's length.
"""

import os
import socket
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from loop.errors import LeaseLost, RunInProgress, UnknownVersion
from loop.store import tables, values
from loop.store.nights import slots
from loop.store.service import messages, outbox
from loop.store.values import RunStatus


def me() -> str:
    """This process as a lease holder: host, boot and process namespace, process id.

    The middle part distinguishes machines and containers that share a host name, since a process id is only meaningful
    within its own namespace.
    """
    return f"{socket.gethostname()}:{_place()}:{os.getpid()}"


def _place() -> str:
    found = []
    with suppress(OSError):  # not Linux: the host name must suffice
        found.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8])
        found.append(Path("/proc/self/ns/pid").readlink().name.strip("pid:[]"))
    return "-".join(found) or "-"


def claim(
    tx: Session, family: str, kind: str, holder: str, lease_seconds: float, now: datetime, slot: str | None = None
) -> values.Run:
    """Start a run; ``slots.take`` gives it its slot. ``tx`` must be exclusive. Raises ``RunInProgress`` while another
    run is alive.
    """
    if (other := _living(tx, now)) is not None:
        raise RunInProgress(
            f"run {other.id} ({other.family}) has been running since {other.started_at:%H:%M:%S} UTC as "
            f"{other.holder}; wait for it, or until its lease ends at {other.lease_until:%H:%M:%S}"
        )
    run = tables.Run(
        family=family,
        kind=kind,
        status=RunStatus.RUNNING,
        holder=holder,
        lease_until=now + timedelta(seconds=lease_seconds),
        started_at=now,
        seconds={},
        slot=slot,
    )
    tx.add(run)
    tx.flush()
    return _value(run)


def reap(tx: Session, now: datetime) -> values.Run | None:
    """End each run with a dead holder or an expired lease, and free its slot. Returns the run that is alive, if any.
    ``tx`` must be exclusive.
    """
    living = _living(tx, now)
    return None if living is None else _value(living)


def add_failed(tx: Session, slot: slots.Slot, holder: str, reason: str, now: datetime) -> values.Run:
    """Store a failed run for a night whose process ended before it claimed one. It counts as an attempt at the slot."""
    run = tables.Run(
        family=slot.family,
        kind="night",
        status=RunStatus.FAILED,
        holder=holder,
        lease_until=now,
        started_at=now,
        finished_at=now,
        seconds={},
        slot=slot.name,
        reason=reason[:1000],
    )
    tx.add(run)
    tx.flush()
    slots.count(tx, slot.name, run.id)
    _record_end(tx, run, now)
    return _value(run)


def reserve(tx: Session, run_id: int) -> int:
    """Reserve the next version number for this run. ``tx`` must be exclusive. Raises ``LeaseLost``."""
    hold(tx, run_id)
    number = (tx.scalar(select(func.max(tables.Run.reserved))) or 0) + 1
    _row(tx, run_id).reserved = number
    return number


def hold(tx: Session, run_id: int) -> None:
    """Lock the run's row until ``tx`` ends. Raises ``LeaseLost`` unless the run is still running."""
    run = _row(tx, run_id, lock=True)
    if run.status == RunStatus.FAILED:
        raise LeaseLost(f"run {run_id} was taken over ({run.reason}); its further writes are refused")
    if run.status != RunStatus.RUNNING:
        raise LeaseLost(f"run {run_id} has already ended ({run.status}); its further writes are refused")


def renew(
    tx: Session, run_id: int, lease_seconds: float, now: datetime, progress: tuple[str, int, int] | None = None
) -> None:
    """Renew the lease, and store the progress: step, done, total. Raises ``LeaseLost``."""
    hold(tx, run_id)
    run = _row(tx, run_id)
    run.lease_until = now + timedelta(seconds=lease_seconds)
    if progress is not None:
        run.step, run.done, run.total = progress[0][:100], progress[1], progress[2]


def freeze(tx: Session, run_id: int, snapshot_id: int) -> None:
    """Store which snapshot the run teaches. Raises ``LeaseLost``."""
    hold(tx, run_id)
    _row(tx, run_id).snapshot_id = snapshot_id


def finish(
    tx: Session, run_id: int, status: RunStatus, reason: str | None, seconds: dict[str, float], now: datetime
) -> None:
    """Store how the run ended. Raises ``LeaseLost``."""
    hold(tx, run_id)
    run = _row(tx, run_id)
    run.status, run.finished_at, run.seconds = status, now, dict(seconds)
    run.reason = None if reason is None else reason[:1000]
    _record_end(tx, run, now)


def get(tx: Session, run_id: int) -> values.Run:
    """One run. Raises ``UnknownVersion``."""
    return _value(_row(tx, run_id))


def held(tx: Session, slot: str, holder: str) -> values.Run | None:
    """The last run of a slot by this process."""
    query = select(tables.Run).where(tables.Run.slot == slot, tables.Run.holder == holder)
    run = tx.scalar(query.order_by(tables.Run.id.desc()).limit(1))
    return None if run is None else _value(run)


def count(tx: Session, slot: str) -> int:
    """How many runs a slot has had."""
    return tx.scalar(select(func.count()).select_from(tables.Run).where(tables.Run.slot == slot)) or 0


def alive(tx: Session, run_id: int, now: datetime) -> bool:
    """Whether the run is under way, judged by its lease and by the processes of this machine."""
    run = _row(tx, run_id)
    return run.status == RunStatus.RUNNING and _lives(run, now)


def recent(tx: Session, limit: int = 20) -> list[values.Run]:
    """The last runs, newest first."""
    rows = tx.scalars(select(tables.Run).order_by(tables.Run.id.desc()).limit(limit))
    return [_value(row) for row in rows]


def _living(tx: Session, now: datetime) -> tables.Run | None:
    living = None
    for run in tx.scalars(select(tables.Run).where(tables.Run.status == RunStatus.RUNNING).with_for_update()):
        if _lives(run, now):
            living = run
            continue
        run.status, run.finished_at = RunStatus.FAILED, now
        run.reason = f"abandoned: {run.holder} stopped without ending the run"
        slots.free(tx, run.id)
        _record_end(tx, run, now)
    return living


def _lives(run: tables.Run, now: datetime) -> bool:
    return run.lease_until > now and not has_exited(run.holder)


def _record_end(tx: Session, run: tables.Run, now: datetime) -> None:
    """Record the event of a night's end, in the same transaction."""
    if run.kind == "night":
        outbox.record(tx, messages.Kind.NIGHT_FINISHED, messages.night(_value(run)), now)


def has_exited(holder: str) -> bool:
    """Whether the holder is a process of this machine that has ended. A reused process id only delays the answer until
    the lease expires.
    """
    here, _, pid = holder.rpartition(":")
    if here != me().rpartition(":")[0]:
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _row(tx: Session, run_id: int, *, lock: bool = False) -> tables.Run:
    query = select(tables.Run).where(tables.Run.id == run_id).execution_options(populate_existing=lock)
    run = tx.scalar(query.with_for_update() if lock else query)
    if run is None:
        raise UnknownVersion(f"no run {run_id}; `loop runs` lists them")
    return run


def _value(run: tables.Run) -> values.Run:
    seconds: dict[str, Any] = run.seconds
    return values.Run(
        id=run.id,
        family=run.family,
        kind=run.kind,
        status=RunStatus(run.status),
        reason=run.reason,
        reserved=run.reserved,
        holder=run.holder,
        started_at=run.started_at,
        finished_at=run.finished_at,
        seconds={step: float(value) for step, value in seconds.items()},
        slot=run.slot,
        step=run.step,
        done=run.done,
        total=run.total,
    )
