"""Defaults of the user for model, jobs, device and recogniser, from a configuration file.

An option takes precedence over its environment variable, and that over the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from stillwave.errors import StillwaveError, nearest

MODEL, JOBS, DEVICE = "STILLWAVE_MODEL", "STILLWAVE_JOBS", "STILLWAVE_DEVICE"
RECOGNISER = "STILLWAVE_RECOGNISER"
_KEYS = {"model": (MODEL, str), "jobs": (JOBS, int), "device": (DEVICE, str), "recogniser": (RECOGNISER, str)}


class ConfigError(StillwaveError):
    """A configuration file with an unknown key or a wrong value."""


def config_file() -> Path:
    """Return the path of the configuration file; it need not exist."""
    return Path(typer.get_app_dir("stillwave")) / "config.yaml"


def default_map(command: Any) -> dict[str, Any]:
    """Return click's `default_map` for `command` and its sub-commands. Raises ConfigError."""
    values = _read(config_file())
    return _of_command(command, values) if values else {}


def _of_command(command: Any, values: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: _of_command(verb, values) for name, verb in getattr(command, "commands", {}).items()
    }
    for parameter in command.params:
        if parameter.envvar in values:
            value = values[parameter.envvar]
            found[parameter.name] = [value] if parameter.nargs == -1 else value
    return found


def _read(file: Path) -> dict[str, Any]:
    """Return the values by environment variable."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read ({error})") from None
    import yaml

    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: is not YAML ({' '.join(str(error).split())})") from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(f"{file}: must be a mapping, as in 'jobs: 4'")
    found = {}
    for key, value in data.items():
        if key not in _KEYS:
            raise ConfigError(f"{file}: {key} is not a key; {nearest(str(key), _KEYS)}")
        variable, kind = _KEYS[key]
        if type(value) is not kind or not value or (isinstance(value, int) and value < 1):
            wanted = "a whole number of 1 or more" if kind is int else "text"
            raise ConfigError(f"{file}: {key}: expected {wanted}, got {value!r}")
        found[variable] = value
    return found
