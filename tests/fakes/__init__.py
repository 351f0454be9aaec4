"""The ports in memory: fakes that keep state, held to the same contracts as the real adapters."""

from tests.fakes.allowlist import MemoryAllowlist
from tests.fakes.azure import FakeAzure
from tests.fakes.clock import FakeClock
from tests.fakes.ledger import MemoryLedger
from tests.fakes.state import MemoryStateStore

__all__ = ["FakeAzure", "FakeClock", "MemoryAllowlist", "MemoryLedger", "MemoryStateStore"]
