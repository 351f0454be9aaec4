"""The project's own checks. Run by ``make check``; nothing here is deployed."""
