"""Claims that are kept say what the view of a cluster says, whatever was told of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.claim import claim
from reconciler.live.claiming import Claims
from reconciler.model.clusters import ClusterView, Unknown, VirtualService, Why
from reconciler.model.units import UnitAddresses, UnitId
from reconciler.model.updates import Delta, Update
from tests import builders
from tests.builders import NOW, node, service, view, virtual_service

API = UnitId(cluster="eu1")


def unit(name: str) -> UnitId:
    return UnitId(cluster="eu1", namespace="shop", name=name)


def another(name: str, weight: int) -> VirtualService:
    route = builders.tcp_route(builders.destination(weight=weight))
    return virtual_service(name, spec={"hosts": ["*"], "tcp": [route]})


@dataclass(slots=True)
class Cluster:
    """eu1 as a watcher knows it."""

    objects: dict[str, VirtualService] = field(default_factory=dict)
    dark: bool = False
    late: bool = False
    cluster_id: str = ""

    def view(self, cluster: str) -> ClusterView | None:
        found = view(*self.objects.values(), service(), node())
        if self.cluster_id:
            entry = replace(found.entry, cluster_id=self.cluster_id)
            found = replace(found, entry=entry)
        if self.dark:
            gone = Unknown(why=Why.UNREACHABLE, message="no answer")
            return replace(found, objects=gone)
        return found if cluster == "eu1" else None

    def untold(self, cluster: str) -> bool:
        return self.late

    def change(self, name: str, new: VirtualService | None) -> Update:
        delta = Delta(old=self.objects.pop(name, None), new=new)
        if new is not None:
            self.objects[name] = new
        return Update(cluster="eu1", deltas=(delta,))


WHOLE = Update(cluster="eu1", deltas=None)


def begun(cluster: Cluster) -> Claims:
    claims = Claims(builders.settings(), cluster)
    assert list(claims.note(WHOLE)) == ["eu1"]
    assert claims.fresh() == "eu1"
    claims.begin("eu1", {}, NOW)
    assert claims.fresh() is None
    return claims


def outcomes(claims: Claims, *names: str) -> dict[UnitId, object]:
    found = claims.of("eu1", frozenset(map(unit, names)) | {API}, {}, NOW)
    assert found is not None
    return {each.unit: each.outcome for each in found.claims}


def test_a_change_concerns_its_unit_once_the_cluster_has_been_claimed() -> None:
    cluster = Cluster(objects={"a": another("a", 1), "b": another("b", 1)})
    claims = begun(cluster)

    assert list(claims.note(cluster.change("a", another("a", 2)))) == [unit("a")]

    assert set(outcomes(claims, "a")) == {unit("a")}


def test_a_change_before_that_concerns_the_cluster() -> None:
    cluster = Cluster(objects={"a": another("a", 1)})
    claims = Claims(builders.settings(), cluster)
    claims.note(WHOLE)

    assert list(claims.note(cluster.change("a", another("a", 2)))) == ["eu1"]


def test_what_was_listed_anew_is_believed_and_not_what_was_kept() -> None:
    cluster = Cluster(objects={"a": another("a", 1)})
    claims = begun(cluster)
    cluster.objects["b"] = another("b", 1)  # nobody told

    assert set(outcomes(claims, "a", "b")) == {unit("a"), unit("b")}
    cluster.objects["a"] = another("a", 7)
    claims.forget("eu1")
    expected = claim(cluster.view("eu1"), builders.settings(), {}, NOW)  # type: ignore[arg-type]
    assert outcomes(claims, "a") == {
        each.unit: each.outcome for each in expected.claims if each.unit == unit("a")
    }


def test_a_cluster_that_went_dark_claims_nothing_whatever_was_kept() -> None:
    cluster = Cluster(objects={"a": another("a", 1)})
    claims = begun(cluster)
    cluster.dark = True  # the news of it is late

    found = claims.of("eu1", frozenset({unit("a")}), {}, NOW)

    assert found is not None
    assert isinstance(found.view.objects, Unknown)
    assert found.claims == ()


def test_nothing_is_kept_while_something_is_untold() -> None:
    cluster = Cluster(objects={"a": another("a", 1)}, late=True)
    claims = Claims(builders.settings(), cluster)
    claims.note(WHOLE)

    assert claims.fresh() is None
    assert set(outcomes(claims, "a")) == {unit("a")}


steps = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.booleans()), max_size=20
)


@settings(deadline=None, max_examples=60)
@given(steps)
def test_kept_claims_are_those_of_the_view(steps: list[tuple[str, int, bool]]) -> None:
    """Changes of weight 0 delete; some are not told, and then a list tells of all."""
    cluster = Cluster()
    claims = begun(cluster)
    for name, weight, told in steps:
        update = cluster.change(name, another(name, weight) if weight else None)
        claims.note(update if told else WHOLE)
        seen = cluster.view("eu1")
        assert seen is not None
        expected = claim(seen, builders.settings(), {}, NOW)
        assert outcomes(claims, *"abc") == {
            each.unit: each.outcome for each in expected.claims
        }


def test_what_is_told_late_to_be_off_is_claimed_from_the_view() -> None:
    cluster = Cluster(objects={"a": another("a", 1)})
    claims = begun(cluster)
    served = {unit("a"): UnitAddresses(unit=unit("a"), failover="none", routes=())}
    on = cluster.objects["a"]
    claims.note(cluster.change("a", replace(on, annotations={})))
    cluster.objects["a"] = on  # and nobody told yet

    found = claims.of("eu1", frozenset({unit("a")}), served, NOW)

    assert found is not None
    assert [each.unit for each in found.claims] == [unit("a")]
    assert found.unexposed == ()


def test_a_cluster_of_another_id_is_not_known_by_what_was_kept() -> None:
    cluster = Cluster(objects={"a": another("a", 1)})
    claims = begun(cluster)
    cluster.cluster_id = "another"  # and nobody told yet

    found = claims.of("eu1", frozenset({unit("a")}), {}, NOW)

    assert found is not None
    assert found.view.entry.cluster_id == "another"
