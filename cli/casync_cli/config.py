"""What the environment says, and what holds where nobody says anything.

The only module of the program that reads the environment. Flags win over it: see `invocation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

__all__ = ["Config", "default_store"]


class Config(NamedTuple):
    """The environment's part of the configuration. An empty variable counts as unset.

    Attributes:
        store: CASYNC_STORE.
        servers: CASYNC_SERVER, separated by spaces.
        token_file: CASYNC_TOKEN_FILE; wins over `token`.
        token: CASYNC_TOKEN.
        ca: CASYNC_CA, a file of certificates in PEM.
        colour: Whether NO_COLOR is unset and the terminal is not a dumb one.
        completing: Whether a shell asks how a line could go on.
    """

    store: Path | None = None
    servers: tuple[str, ...] = ()
    token_file: Path | None = None
    token: str | None = None
    ca: Path | None = None
    colour: bool = False
    completing: bool = False

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Config:
        """Reads `environment`, which is `os.environ` but in tests."""
        get = environment.get
        return cls(
            store=_path(get("CASYNC_STORE")),
            servers=tuple(get("CASYNC_SERVER", "").split()),
            token_file=_path(get("CASYNC_TOKEN_FILE")),
            token=get("CASYNC_TOKEN") or None,
            ca=_path(get("CASYNC_CA")),
            colour=not get("NO_COLOR") and get("TERM") != "dumb",
            completing=bool(get("_CASYNC_COMPLETE")),
        )


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def default_store() -> Path:
    """Where the store of this user lies when nobody says otherwise."""
    from platformdirs import user_data_path  # only needed here, and start-up counts

    return user_data_path("casync") / "store"
