"""Plugins of all tests."""

pytest_plugins = ("tests.stack.plugin", "tests.stack.engines")
