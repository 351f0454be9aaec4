"""What a sweep keeps for reports: every link that there is, those that nobody watches among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.core.errors import AzureUnavailableError
from shared.report.link_state import LinkState, state_of
from shared.services.report_data import collect
from shared.services.sweep import sweep
from tests.engines import Estate, a_rule

if TYPE_CHECKING:
    from shared.core.report_data import SweepView


async def shown(estate: Estate) -> SweepView:
    view = (await collect(estate.ledger, estate.state, estate.clock.now())).sweep
    assert view is not None
    return view


async def test_a_link_that_no_rule_is_about_is_shown_as_not_looked_at() -> None:
    """Another team's service and target: the link says what it says, and nothing is claimed of its connection."""
    estate = Estate()
    estate.allow(a_rule(estate.service, estate.target))
    estate.azure.add_pair(estate.service, estate.target)
    other, elsewhere = estate.azure.add_signalr("fabrikam-signalr"), estate.azure.add_site("fabrikam-func")
    estate.azure.add_pair(other, elsewhere, "fabrikam-pe")
    await sweep(estate.worker().engine)
    view = await shown(estate)
    assert [one.target for one in view.links] == [estate.target]
    (unseen,) = view.unseen
    assert (unseen.signalr, unseen.target, unseen.connection, unseen.link_status) == (other, elsewhere, None, "Pending")
    assert state_of(unseen) is LinkState.UNSEEN
    assert len(view.every_link) == 2


async def test_a_link_whose_target_cannot_be_read_stays_in_the_report() -> None:
    """For one sweep as not looked at; then as it is."""
    estate = Estate()
    estate.allow(a_rule(estate.service, estate.target))
    estate.azure.add_pair(estate.service, estate.target)
    worker = estate.worker()
    estate.azure.fail("list_connections", AzureUnavailableError("no"))
    await sweep(worker.engine)
    assert [state_of(one) for one in (await shown(estate)).every_link] == [LinkState.UNSEEN]
    estate.clock.advance(600)
    await sweep(worker.engine)
    view = await shown(estate)
    assert (len(view.links), view.unseen) == (1, ())
