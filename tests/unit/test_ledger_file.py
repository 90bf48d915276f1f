"""Ledger files: what is written is read as the same value, by us and by any YAML reader."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler import yamlio
from reconciler.ledger_file import Entry, format_entry, parse_entry
from reconciler.model.units import Owner, PortState

odd = st.sampled_from(
    [
        "",
        "true",
        "no",
        "5432",
        "1e3",
        "0x10",
        "~",
        "a: b",
        "a #b",
        "{",
        '"',
        "\\",
        "a,b",
    ]
)
texts = st.one_of(
    odd, st.text(min_size=0, max_size=12), st.from_regex(r"[a-z0-9.-]+\Z")
)


@given(st.lists(texts, min_size=5, max_size=5), st.sampled_from(list(PortState)))
def test_whatever_an_owner_is_called_it_comes_back(
    names: list[str], state: PortState
) -> None:
    cluster, cluster_id, namespace, name, route = names
    owner = Owner(
        cluster=cluster, cluster_id=cluster_id, namespace=namespace, name=name, route=route
    )  # fmt: skip
    entry = Entry(gateway="public", key=20017, state=state, owner=owner, next="a/b/c")
    for each in (entry, Entry(gateway="public", key=20017, state=state, owner=owner)):
        data = format_entry(each)
        assert parse_entry("ports/public/20017.yaml", data) == each
        body = yamlio.load(data)
        assert isinstance(body, dict)
        assert body["owner"]["name"] == name
        assert data.count(b"\nowner: ") == 1
        assert data.index(b"\nstate: ") < data.index(b"\nowner: ")


def test_the_owner_is_one_line_beside_the_state() -> None:
    owner = Owner(
        cluster="eu1", cluster_id="id-eu1", namespace="shop", name="orders", route="5432"
    )  # fmt: skip
    entry = Entry(gateway="public", key=20017, state=PortState.ACTIVE, owner=owner)
    assert format_entry(entry).decode() == (
        "gateway: public\nport: 20017\nstate: active\n"
        "owner: {cluster: eu1, clusterId: id-eu1, namespace: shop, name: orders, "
        'route: "5432"}\n'
    )
