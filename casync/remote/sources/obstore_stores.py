"""Opens buckets of the clouds through obstore: S3, Google and Azure.

obstore finds credentials as the tools of each cloud do, from variables, files and the role of the
machine; options override them.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from obstore.store import AzureStore, GCSStore, S3Store

from casync.errors import CasyncError, UsageError
from casync.fs.paths import StrPath, as_path
from casync.jobs.address import redacted
from casync.remote.sources.options import SourceOptions

if TYPE_CHECKING:
    from obstore.store import (
        AzureConfig,
        ClientConfig,
        GCSConfig,
        ObjectStore,
        RetryConfig,
        S3Config,
    )

__all__ = ["CLOUDS", "Cloud", "make_store", "server_of", "split_address"]

_ANSWER_SECONDS: Final = 600
"""Time limit of one answer: long enough for a range over a slow line."""

_CONNECT_SECONDS: Final = 10
_ONE_TRY: Final = 0
"""Retries of the library: see `casync.remote.sources.obstore_retries`."""


class Cloud(NamedTuple):
    """A cloud.

    Attributes:
        scheme: The scheme that its addresses are shown with.
        name: Its name for people.
        credentials: What to do without credentials.
        settings: What to check if requests go wrong.
        authority: What to do if a certificate is not trusted.
    """

    scheme: str
    name: str
    credentials: str
    settings: str
    authority: str = "Add its authority to the certificates of the system."


_S3: Final = Cloud(
    "s3",
    "AWS",
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SKIP_SIGNATURE=true for a public "
    "bucket.",
    "Check AWS_REGION and AWS_ENDPOINT_URL.",
    "Give the file of its authority in AWS_CA_BUNDLE.",
)
_GS: Final = Cloud(
    "gs",
    "Google",
    "Set GOOGLE_APPLICATION_CREDENTIALS, or GOOGLE_SKIP_SIGNATURE=true for a public bucket.",
    "Check the bucket and STORAGE_EMULATOR_HOST.",
)
_AZ: Final = Cloud(
    "az",
    "Azure",
    "Set AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY, or AZURE_SKIP_SIGNATURE=true for a public "
    "container.",
    "Check AZURE_STORAGE_ACCOUNT and the container.",
)

CLOUDS: Final = {"s3": _S3, "aws": _S3, "gs": _GS, "gcp": _GS, "az": _AZ, "azure": _AZ}
"""The cloud of each scheme."""

_NAME: Final = re.compile(r"[A-Za-z0-9$][A-Za-z0-9._-]{0,254}")


def split_address(address: str) -> tuple[Cloud, str, str]:
    """The cloud, the bucket and the key of an address whose scheme is one of `CLOUDS`.

    Raises:
        UsageError: It has no bucket.
    """
    scheme, _, rest = address.partition("://")
    name, _, key = rest.partition("/")
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{redacted(address)} is not the address of a bucket",
            next_step=f"Write {scheme}://BUCKET/PREFIX.",
        )
    return CLOUDS[scheme.lower()], name, key


def server_of(cloud: Cloud, options: SourceOptions) -> str:
    """The URL of the server that stands for a cloud, or empty.

    Raises:
        UsageError: It is not a URL.
    """
    endpoint = {_S3: options.s3_endpoint, _GS: options.gs_endpoint, _AZ: options.az_endpoint}[cloud]
    if endpoint and ("@" in endpoint or not endpoint.startswith(("http://", "https://"))):
        raise UsageError(
            f"the endpoint {redacted(endpoint)} is not http[s]://HOST[:PORT], without a user",
            next_step=cloud.settings,
        )
    return endpoint or ""


def make_store(cloud: Cloud, name: str, options: SourceOptions) -> ObjectStore:
    """Opens a bucket. No request is made yet.

    Raises:
        UsageError: The endpoint is not a URL.
        CasyncError: The certificates cannot be read.
        Exception: What obstore raises.
    """
    endpoint = server_of(cloud, options)
    client: ClientConfig = {
        "allow_http": endpoint.startswith("http://"),
        "timeout": timedelta(seconds=_ANSWER_SECONDS),
        "read_timeout": timedelta(seconds=options.timeout),
        "connect_timeout": timedelta(seconds=_CONNECT_SECONDS),
    }
    retries: RetryConfig = {
        "max_retries": _ONE_TRY,
    }
    if cloud is _GS:
        gs = cast("GCSConfig", dict(options.gs))
        if endpoint:
            gs["base_url"] = endpoint
        return GCSStore(name, config=gs, client_options=client, retry_config=retries)
    if cloud is _AZ:
        az = cast("AzureConfig", dict(options.az))
        if endpoint:
            az["endpoint"] = endpoint
        return AzureStore(name, config=az, client_options=client, retry_config=retries)
    if options.s3_ca is not None:
        client["root_certificate"] = _certificates(options.s3_ca)
    s3 = cast("S3Config", dict(options.s3))
    if endpoint:
        s3["endpoint"] = endpoint
    return S3Store(name, config=s3, client_options=client, retry_config=retries)


def _certificates(path: StrPath) -> bytes:
    try:
        return as_path(path).read_bytes()
    except OSError as error:
        raise CasyncError(f"cannot read the certificates in {path}: {error.strerror}") from error
