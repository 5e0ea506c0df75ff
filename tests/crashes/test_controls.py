"""Controls of the crash tests: without one protection they must find a fault."""

import signal
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from loop.clock import utc_now
from loop.schedule import slots
from tests.crashes import checks, process
from tests.crashes.process import Plan, begin, ended
from tests.crashes.site import BACKENDS, Site, Templates

pytestmark = pytest.mark.parametrize("backend", BACKENDS)


def planned(site: Site, **changes: object) -> Plan:
    """The plan of a requested night."""
    slot = slots.ask(site.home, "cnn", "ops", utc_now())
    return replace(site.plan, slot=slot.name, **changes)


def test_without_the_fence_a_slot_is_published_twice(templates: Templates, tmp_path: Path, backend: str) -> None:
    """Without the fence, a night that was stopped past its lease publishes over its successor."""
    with templates.site(backend, tmp_path) as site:
        plan = planned(site, point="epoch/middle", act="stalled", control="unfenced")
        assert "Error" not in process.overtaken(plan)
        faults = checks.sound(site.home, utc_now() + process.AHEAD)
        assert f"slot {plan.slot}: 2 versions" in faults
        assert any(fault.startswith("event night.finished of 2") for fault in faults)


@pytest.mark.parametrize("control", ["", "unclaimed"])
def test_without_the_claim_a_slot_is_run_twice(
    templates: Templates, tmp_path: Path, backend: str, control: str
) -> None:
    """Without the claim, two schedulers that start the same slot produce two versions."""
    with templates.site(backend, tmp_path) as site:
        plan = planned(site)
        assert ended(begin(process.work, plan), plan) == 0
        second = replace(plan, hand=5, control=control, log="second")
        ended(begin(process.work, second), second)
        faults = checks.sound(site.home, utc_now())
        assert faults == ([f"slot {plan.slot}: 2 versions"] if control else [])
        assert ("loop.errors.SlotTaken" in second.output.read_text()) != bool(control)


def test_without_rename_an_artifact_is_torn(templates: Templates, tmp_path: Path, backend: str) -> None:
    """Without the rename, the next night's version names a half-written artifact."""
    with templates.site(backend, tmp_path) as site:
        plan = planned(site, control="torn weights")
        assert ended(begin(process.work, plan), plan) == -signal.SIGKILL
        after = replace(plan, control="trusting", log="after")
        assert ended(begin(process.follow, after), after) == 0, after.output.read_text()
        faults = checks.settled(site.home, utc_now() + timedelta(minutes=1))
        assert any("verify: artifacts" in fault and "its bytes have digest" in fault for fault in faults)


def test_without_rename_phones_see_half_a_feed(templates: Templates, tmp_path: Path, backend: str) -> None:
    """Without the rename, phones refuse the feed between the kill and the next publication."""
    with templates.site(backend, tmp_path) as site:
        plan = planned(site, control="torn feed")
        assert ended(begin(process.work, plan), plan) == -signal.SIGKILL
        assert any(fault.startswith("device:") for fault in checks.sound(site.home, utc_now()))
