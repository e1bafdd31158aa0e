"""Settings of the service, which reach its worker processes as environment variables."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, ValidationError, field_validator, model_validator

from stillwave.cores import cores
from stillwave.errors import StillwaveError
from stillwave.schema.base import Count, Frozen, Positive

PREFIX = "STILLWAVE_WEB_"
_SHORTEST_TOKEN = 16


class SettingsError(StillwaveError):
    """A setting of the service with a wrong value."""


class Settings(Frozen):
    """What the service accepts, and how much of it at once."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8000
    token: str | None = None
    """Secret that every request needs; required unless bound to loopback."""
    allow_hosts: tuple[str, ...] = ()
    """Names in the Host header that are accepted beside those of the loopback interface."""
    model: str | None = None
    """Default model: the name of a shipped one, or the path of an .onnx file."""
    jobs: Annotated[int, Field(ge=0)] = 0
    """Files enhanced at once, and threads for streams; 0 for one a core."""
    max_bytes: Count = 2 * 2**30
    max_seconds: Positive = 4 * 3600.0
    max_channels: Annotated[int, Field(ge=1, le=64)] = 8
    max_requests: Count = 64
    """Requests with a file that may wait or run at once."""
    max_streams: Annotated[int, Field(ge=0)] = 0
    """Streams at once; 0 for what the capacity measured at the start allows."""
    idle_seconds: Positive = 60.0
    """A stream without messages for this long is closed."""
    stall_seconds: Positive = 30.0
    """A connection that takes or sends no byte for this long in the middle of a request is closed."""
    drain_seconds: Positive = 30.0
    """How long a service that is being stopped waits for its requests."""

    @field_validator("token")
    @classmethod
    def _long_token(cls, token: str | None) -> str | None:
        if token is not None and len(token) < _SHORTEST_TOKEN:
            raise ValueError(f"a token needs at least {_SHORTEST_TOKEN} characters")
        if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
            raise ValueError("a token consists of printable ASCII characters without spaces")
        return token

    @model_validator(mode="after")
    def _token_beyond_loopback(self) -> Settings:
        if self.token is None and not is_loopback(self.host):
            raise ValueError(f"{self.host} can be reached by other machines, so a token is needed")
        return self

    @property
    def threads(self) -> int:
        """Files enhanced at once."""
        return self.jobs or cores()

    def environment(self) -> dict[str, str]:
        """Return the settings as environment variables, without those that are not set."""
        return {
            PREFIX + name.upper(): ",".join(value) if isinstance(value, tuple) else str(value)
            for name, value in self
            if value is not None and value != ()
        }


def from_environment(environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings that the environment variables `STILLWAVE_WEB_…` give. Raises SettingsError."""
    return checked(given_by(os.environ if environment is None else environment))


def given_by(environment: Mapping[str, str]) -> dict[str, object]:
    """Return the values of the environment variables `STILLWAVE_WEB_…`, not checked, by the names of settings."""
    given: dict[str, object] = {
        name: environment[PREFIX + name.upper()]
        for name in Settings.model_fields
        if environment.get(PREFIX + name.upper())
    }
    if "allow_hosts" in given:
        given["allow_hosts"] = tuple(str(given["allow_hosts"]).split(","))
    return given


def checked(given: Mapping[str, object]) -> Settings:
    """Return settings. Raises SettingsError, which names the first wrong one."""
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        fault = error.errors()[0]
        name = ".".join(str(part) for part in fault["loc"])
        reason = fault["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{name}: {reason}" if name else reason) from None


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a host name or address.

    Examples:
        >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
        (True, True, False)

    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
