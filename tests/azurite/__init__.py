"""Azurite, Azure Storage's emulator, as the tests run it: from npm, on loopback, in memory."""
