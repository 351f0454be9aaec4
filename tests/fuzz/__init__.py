"""Fuzzing the log readers; what it finds becomes a test in tests/adapters/test_log_files.py."""
