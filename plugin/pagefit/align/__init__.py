"""Mending what does not load: the passes over one file, and over the files of a wheel, archive or folder."""

from pagefit.align.containers import Unmended, path, relinker, wheel
from pagefit.align.outcome import Action, Outcome, Report, Request

__all__ = ["Action", "Outcome", "Report", "Request", "Unmended", "path", "relinker", "wheel"]
