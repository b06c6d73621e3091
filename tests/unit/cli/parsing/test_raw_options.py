"""Options for servers as a user can repeat them."""

from __future__ import annotations

from casync_cli.parsing.raw_options import CommonOptions, RemoteOptions


def test_what_reaches_a_server_is_repeated_for_a_shell_and_without_passwords() -> None:
    options = RemoteOptions(
        server=["https://u:secret@h"],
        token_file="my token",
        ca="ca.pem",
        insecure_http=True,
        limit="10M",
    )
    assert " ".join(options.repeated()) == (
        "--server https://***@h --token-file 'my token' --ca ca.pem --insecure-http"
    )
    assert list(RemoteOptions().repeated()) == []


def test_what_opens_a_store_is_repeated_for_a_shell() -> None:
    options = CommonOptions(store="my store", config="my config", verbose=True)
    assert " ".join(options.repeated()) == "--config 'my config' --store 'my store'"
    assert list(CommonOptions().repeated()) == []
