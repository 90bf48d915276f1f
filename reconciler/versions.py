"""The version of what renderers write; pure, and quick to load."""

RENDERER_VERSION = 3
