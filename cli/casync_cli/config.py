"""What the environment says, and what holds where nobody says anything.

The only module of the program that reads the environment. Flags win over it: see `invocation`.
Who asks for objects of S3 is not here: their library finds that out, as all tools for S3 do.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

__all__ = ["Config", "default_state", "default_store"]


class Config(NamedTuple):
    """The environment's part of the configuration. An empty variable counts as unset.

    Attributes:
        store: CASYNC_STORE.
        servers: CASYNC_SERVER, separated by spaces.
        token_file: CASYNC_TOKEN_FILE; wins over `token`.
        token: CASYNC_TOKEN.
        ca: CASYNC_CA, a file of certificates in PEM.
        config: CASYNC_CONFIG, a file to read instead of the user's own.
        user_config: The user's own, where it would be.
        s3_endpoint: AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, a server to ask instead of AWS's.
        s3_ca: AWS_CA_BUNDLE, a file of certificates in PEM.
        colour: Whether NO_COLOR is unset and the terminal is not a dumb one.
        completing: Whether a shell asks how a line could go on.
    """

    store: Path | None = None
    servers: tuple[str, ...] = ()
    token_file: Path | None = None
    token: str | None = None
    ca: Path | None = None
    config: Path | None = None
    user_config: Path | None = None
    s3_endpoint: str | None = None
    s3_ca: Path | None = None
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
            config=_path(get("CASYNC_CONFIG")),
            user_config=_user_config(environment),
            s3_endpoint=get("AWS_ENDPOINT_URL_S3") or get("AWS_ENDPOINT_URL") or None,
            s3_ca=_path(get("AWS_CA_BUNDLE")),
            colour=not get("NO_COLOR") and get("TERM") != "dumb",
            completing=bool(get("_CASYNC_COMPLETE")),
        )


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def _user_config(environment: Mapping[str, str]) -> Path | None:
    """As XDG has it. Asking platformdirs would cost time at each start."""
    folder = environment.get("XDG_CONFIG_HOME", "")
    if not folder.startswith("/"):
        home = environment.get("HOME")
        if not home:
            return None
        folder = f"{home}/.config"
    return Path(folder, "casync", "config.toml")


def default_store() -> Path:
    """Where the store of this user lies when nobody says otherwise."""
    from platformdirs import user_data_path  # only needed here, and start-up counts

    return user_data_path("casync") / "store"


def default_state() -> Path:
    """Where this user's programs keep what they must remember."""
    from platformdirs import user_state_path

    return user_state_path("casync")
