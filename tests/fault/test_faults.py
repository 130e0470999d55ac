"""Every fault that this machine can make, for a few cycles; and every control, which must be found. More cycles: tests/fault/run."""
import contextlib
import time

import pytest

from fault import controls, faults
from fault.campaign import Campaign
from fault.field import Field

SEED = time.time_ns() % 10000


class Place:
    """One field for all, another when a fault left it broken."""
    campaign = None

    def get(self):
        if not self.campaign:
            self.campaign = Campaign(Field(), SEED)
        return self.campaign

    def leave(self):
        if self.campaign:
            field, self.campaign = self.campaign.field, None
            field.close()


@pytest.fixture(scope="module")
def place():
    place = Place()
    yield place
    place.leave()


@pytest.mark.parametrize("fault", [f for f in faults.everything() if f.cycles], ids=lambda fault: fault.name)
def test_fault(place, fault):
    campaign = place.get()
    reason = fault.why_not(campaign.field)
    if reason:
        pytest.skip(reason)
    found = campaign.run(fault, fault.cycles)
    if found.is_broken or fault.is_spoiling:
        with contextlib.suppress(AssertionError) if found.is_broken else contextlib.nullcontext():
            place.leave()
    assert found.is_clean, f"seed {SEED}: {found.evidence()}"
    assert found.acknowledged > 0 and found.reads > 0, "there was something to lose"


@pytest.mark.parametrize("control", controls.CONTROLS, ids=lambda control: control.name)
def test_a_broken_rule_is_found(control):
    found = control.run(SEED)
    assert control.is_found(found), (found.cycles, found.acknowledged, found.evidence())
