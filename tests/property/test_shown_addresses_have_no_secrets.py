"""Law: an address is shown without user and values of its query, and requested unchanged."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from casync.jobs.address import identity, parse_address, redacted, split_query
from casync.jobs.spec import JobSpec, SourceKind

SECRET = "s3cr3t"
PARTS = st.text("ab/.%+ä:{}0", max_size=8)


@given(
    st.sampled_from(["http", "https", "HTTPS", "webhdfs", "ais", "casync", "ftp"]),
    st.booleans(),
    PARTS,
    st.lists(st.sampled_from(["a", "sig", "X-Amz-Signature", "token", ""]), max_size=3),
    st.sampled_from(["&", "&&", "&;"]),
    st.booleans(),
)
def test_addresses(
    scheme: str, user: bool, path: str, fields: list[str], between: str, fragment: bool
) -> None:
    before = f"{SECRET}:x{SECRET}@" if user else ""
    query = "?" + between.join(f"{field}={SECRET}=" for field in fields) if fields else ""
    text = f"{scheme}://{before}host/{path}{query}{'#' + SECRET if fragment else ''}"
    shown = redacted(text)
    assert SECRET not in shown
    assert redacted(shown) == shown
    address = parse_address(text)
    assert str(address) == scheme.lower() + text[len(scheme) :]
    assert "".join(split_query(address)) == address.rest
    if user or (fragment and address.has_query):
        assert identity(address) != text
    spec = JobSpec(text, "", SourceKind.OBJECT)
    if SECRET in text:
        assert spec.secrets is not None
        assert spec.without_secrets().with_secrets(spec.secrets) == spec
    assert SECRET.encode() not in spec.without_secrets().encode()
