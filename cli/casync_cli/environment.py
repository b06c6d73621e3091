"""Settings from the environment, and default folders.

The only module of the command line that reads the environment. Options override it: see `settings`.
Most credentials for clouds are not here: obstore finds them, as the tools of each cloud do.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from casync.errors import UsageError

__all__ = ["Variables", "aws_files", "default_cache", "default_state", "default_store"]


class Variables(NamedTuple):
    """Settings from the environment. An empty variable counts as unset.

    Attributes:
        store: CASYNC_STORE.
        servers: CASYNC_SERVER, separated by spaces.
        token_file: CASYNC_TOKEN_FILE; overrides `token`.
        token: CASYNC_TOKEN.
        proxy_auth_file: CASYNC_PROXY_AUTH_FILE; overrides `proxy_auth`.
        proxy_auth: CASYNC_PROXY_AUTH, `USER:PASSWORD` for the proxy.
        ca: CASYNC_CA, a PEM file of CA certificates.
        config: CASYNC_CONFIG, a file to read instead of `user_config`.
        user_config: Path of the user's configuration file, which may be missing.
        s3_endpoint: AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, a server to use instead of AWS.
        s3_ca: AWS_CA_BUNDLE, a PEM file of CA certificates.
        s3_profile: AWS_PROFILE, a profile of AWS; None if AWS_ACCESS_KEY_ID is set.
        s3_config: AWS_CONFIG_FILE, a file with profiles.
        s3_credentials: AWS_SHARED_CREDENTIALS_FILE, another one.
        gs_endpoint: STORAGE_EMULATOR_HOST, a server to use instead of Google.
        az: The account, its key and its endpoint, from AZURE_STORAGE_CONNECTION_STRING,
            AZURE_STORAGE_ACCOUNT, AZURE_STORAGE_KEY and AZURE_STORAGE_SAS_TOKEN.
        colour: Whether NO_COLOR is unset and TERM is not `dumb`.
        completing: Whether the shell requests completions.
    """

    store: str | None = None
    servers: tuple[str, ...] = ()
    token_file: Path | None = None
    token: str | None = None
    proxy_auth_file: Path | None = None
    proxy_auth: str | None = None
    ca: Path | None = None
    config: Path | None = None
    user_config: Path | None = None
    s3_endpoint: str | None = None
    s3_ca: Path | None = None
    s3_profile: str | None = "default"
    s3_config: Path | None = None
    s3_credentials: Path | None = None
    gs_endpoint: str | None = None
    az: Mapping[str, str] = MappingProxyType({})
    colour: bool = False
    completing: bool = False

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Variables:
        """Reads `environment`, normally `os.environ`."""
        get = environment.get
        own = _user_folder("XDG_CONFIG_HOME", ".config", environment)
        return cls(
            store=get("CASYNC_STORE") or None,
            servers=tuple(get("CASYNC_SERVER", "").split()),
            token_file=_path(get("CASYNC_TOKEN_FILE")),
            token=get("CASYNC_TOKEN") or None,
            proxy_auth_file=_path(get("CASYNC_PROXY_AUTH_FILE")),
            proxy_auth=get("CASYNC_PROXY_AUTH") or None,
            ca=_path(get("CASYNC_CA")),
            config=_path(get("CASYNC_CONFIG")),
            user_config=None if own is None else own / "config.toml",
            s3_endpoint=get("AWS_ENDPOINT_URL_S3") or get("AWS_ENDPOINT_URL") or None,
            s3_ca=_path(get("AWS_CA_BUNDLE")),
            s3_profile=None if get("AWS_ACCESS_KEY_ID") else get("AWS_PROFILE") or "default",
            s3_config=_path(get("AWS_CONFIG_FILE")),
            s3_credentials=_path(get("AWS_SHARED_CREDENTIALS_FILE")),
            gs_endpoint=_url(get("STORAGE_EMULATOR_HOST")),
            az=_azure(environment),
            colour=not get("NO_COLOR") and get("TERM") != "dumb",
            completing=bool(get("_CASYNC_COMPLETE")),
        )


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def _url(text: str | None) -> str | None:
    """A URL; Google's tools also take a host without a scheme."""
    return f"http://{text}" if text and "://" not in text else text or None


def aws_files(variables: Variables) -> list[Path]:
    """The files with profiles of AWS, which may be missing; a later one wins."""
    home = os.environ.get("HOME") or _home_of_account()
    given = variables.s3_config, variables.s3_credentials
    names = "config", "credentials"
    usual = [Path(home, ".aws", name) if home.startswith("/") else None for name in names]
    paths = [own or default for own, default in zip(given, usual, strict=True)]
    return [path for path in paths if path is not None]


def _azure(environment: Mapping[str, str]) -> Mapping[str, str]:
    """What Azure's own tools read. obstore reads further variables itself."""
    fields = environment.get("AZURE_STORAGE_CONNECTION_STRING", "").split(";")
    connection = {name: value for name, _, value in (field.partition("=") for field in fields)}
    get = environment.get
    found = {
        "account_name": get("AZURE_STORAGE_ACCOUNT") or connection.get("AccountName"),
        "account_key": get("AZURE_STORAGE_KEY") or connection.get("AccountKey"),
        "sas_key": get("AZURE_STORAGE_SAS_TOKEN") or connection.get("SharedAccessSignature"),
        "endpoint": connection.get("BlobEndpoint"),
    }
    return {name: value for name, value in found.items() if value}


def default_cache() -> Path | None:
    """Where this user's programs keep what can be made again; None if the user has no home."""
    return _user_folder("XDG_CACHE_HOME", ".cache")


def default_store() -> Path | None:
    """Where this user's store lies by default; None if the user has no home."""
    folder = _user_folder("XDG_DATA_HOME", ".local/share")
    return None if folder is None else folder / "store"


def default_state() -> Path:
    """Where this user's programs keep what they must remember.

    Raises:
        UsageError: The user has no home.
    """
    folder = _user_folder("XDG_STATE_HOME", ".local/state")
    if folder is None:
        raise UsageError(
            "there is no home to remember signed names in",
            next_step="Set HOME or XDG_STATE_HOME to an absolute path.",
        )
    return folder


def _user_folder(
    variable: str, below: str, environment: Mapping[str, str] = os.environ
) -> Path | None:
    """A folder of ours by the rules of XDG, which ignore relative paths."""
    folder = environment.get(variable, "")
    if not folder.startswith("/"):
        home = environment.get("HOME") or _home_of_account()
        if not home.startswith("/"):
            return None
        folder = f"{home}/{below}"
    return Path(folder, "casync")


def _home_of_account() -> str:
    import pwd  # rarely needed, and start-up counts

    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:  # as in containers that run as any number
        return ""
