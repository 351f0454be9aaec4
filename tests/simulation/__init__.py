"""The real core and services in a world that goes wrong, under virtual time and one seed (docs/reliability.md)."""
