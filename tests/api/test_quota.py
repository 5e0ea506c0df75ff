"""The day's quota outlives an erasure: who erases itself does not begin the day anew."""

from datetime import timedelta

import httpx
import pytest
from sqlalchemy import select

from loop.clock import utc_now
from loop.home import Home
from loop.home.sections import Serving
from loop.intake import erasure
from loop.store import tables
from loop.store.feedback import senders
from tests.api.conftest import Phone, Serve, Server, opened, serving


def upload(server: Server, phone: Phone, seed: int) -> int:
    """The status of a drawing of this moment."""
    return server.send(phone, seed, captured_at=utc_now().isoformat()).status_code


def used(home: Home) -> list[int]:
    """What is kept of erased sources."""
    with home.store.read() as tx:
        return list(tx.scalars(select(tables.Quota.used)))


@pytest.mark.slow
def test_an_erasure_renews_no_quota(url: str, tmp_path: object) -> None:
    """Three of three used, erased, sent again, erased again: 429 as before; another phone has its own quota."""
    home = opened(url, tmp_path, serve=Serving(source_per_day=3))  # type: ignore[arg-type]  # a path
    with serving(home) as server:
        phone, other = server.phone(), server.phone()
        assert [upload(server, phone, seed) for seed in range(4)] == [201, 201, 201, 429]
        for _ in range(2):
            assert httpx.delete(f"{server.url}/v1/sources/{phone.source}", headers=phone.headers).status_code == 200
            assert [upload(server, phone, seed) for seed in (5, 6)] == [429, 429]
            assert used(home) == [3]
        assert [upload(server, other, seed) for seed in range(4)] == [201, 201, 201, 429]
        assert phone.source.encode() not in repr(used(home)).encode()


def test_what_is_left_of_the_quota_can_be_used(serve: Serve) -> None:
    """Two of three used, erased: one more is stored, and counts after the next erasure."""
    server = serve(serve=Serving(source_per_day=3))
    phone = server.phone()
    path = f"{server.url}/v1/sources/{phone.source}"
    assert [upload(server, phone, seed) for seed in range(2)] == [201, 201]
    httpx.delete(path, headers=phone.headers)
    assert [upload(server, phone, seed) for seed in (5, 6)] == [201, 429]
    httpx.delete(path, headers=phone.headers)
    assert used(server.home) == [3]
    assert upload(server, phone, 7) == 429


def test_the_next_day_begins_anew(small: Server) -> None:
    """What an erased source had used yesterday does not count today, and its first day counts once."""
    store, now, name = small.home.store, utc_now(), "a source"
    with store.exclusive() as tx:
        source = senders.hold(tx, [name], 0.5, now)[name]
        senders.spend(tx, {source.id: 7}, now.date())
    erasure.erase(small.home, name, "ops", now)
    with store.exclusive() as tx:
        again = senders.hold(tx, [name], 0.5, now)[name]
        assert (again.day, again.used) == (now.date(), 7)
        senders.spend(tx, {again.id: 8}, now.date())
        assert tx.scalars(select(tables.Source.days_seen)).all() == [1]
        tx.rollback()
    with store.exclusive() as tx:
        assert senders.hold(tx, [name], 0.5, now + timedelta(days=1))[name].used == 0
