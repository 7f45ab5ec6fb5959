"""Recorded links: seeing them, keeping their inputs, and replaying them with other page sizes."""
