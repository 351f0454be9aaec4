"""An Azure of one's own, on loopback: as much of ARM as shared private links and their connections need.

It keeps state, takes its time, can be made to fail, and knows what is true: which connection belongs to which link. Made
from Azure's published and recorded contracts, for the demo and for tests; it is not deployed.
"""

from shared.local_azure.building import SUBSCRIPTION
from shared.local_azure.clock import ManualClock, RunningClock
from shared.local_azure.front_door import LOCAL_TOKEN
from shared.local_azure.knobs import Knobs
from shared.local_azure.server import LocalAzure
from shared.local_azure.world import World

__all__ = ["LOCAL_TOKEN", "SUBSCRIPTION", "Knobs", "LocalAzure", "ManualClock", "RunningClock", "World"]
