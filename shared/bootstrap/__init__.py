"""The one place where adapters are built: settings in, a working application out.

Entry points and tests come here. Adapters are imported where they are built, so that a command that needs none of Azure
does not wait for Azure's SDKs.
"""
