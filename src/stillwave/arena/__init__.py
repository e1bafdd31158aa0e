"""The arena: any set of systems on any set of recordings, scored, with their cost, and to listen to."""

from stillwave.arena.flow import ArenaResult, ArenaSettings, run
from stillwave.arena.systems import ArenaSystem, parse

__all__ = ["ArenaResult", "ArenaSettings", "ArenaSystem", "parse", "run"]
