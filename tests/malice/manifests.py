"""Manifests that serve what is not theirs, or are not what our renderers write."""

from __future__ import annotations

from dataclasses import replace

from reconciler.codes import Code
from reconciler.repo.trailers import diff_digest
from tests.changes import ORDERS, ORDERS_AT, Branch
from tests.malice.table import (
    BILLING,
    LEDGER,
    MQ,
    ROLE,
    change,
    serve,
)


@change(Code.SERVED_NOT_OWNED)
def a_unit_serves_anothers_port(branch: Branch) -> None:
    serve(branch, 20011)


@change(Code.SERVED_NOT_OWNED)
def a_unit_serves_a_port_that_nobody_allocated(branch: Branch) -> None:
    serve(branch, 20013)


@change(Code.SERVED_NOT_OWNED)
def two_routes_swap_their_ports(branch: Branch) -> None:
    placement = branch.placement(MQ)
    one, other = placement.routes
    routes = (replace(one, ports=other.ports), replace(other, ports=one.ports))
    addresses = branch.read(MQ.replace(".yaml", ".endpoints.yaml"))
    branch.render(replace(placement, routes=routes))
    branch.write(MQ.replace(".yaml", ".endpoints.yaml"), addresses)


@change(Code.SERVED_NOT_OWNED)
def a_port_is_called_draining_that_is_not(branch: Branch) -> None:
    placement = branch.placement()
    (route,) = placement.routes
    branch.render(replace(placement, routes=(replace(route, draining=route.ports),)))


@change(Code.SERVED_NOT_OWNED)
def a_unit_takes_the_name_of_a_clusters_api(branch: Branch) -> None:
    web = "manifests/public/eu1/shop/vs-web.yaml"
    branch.edit(web, "web.apps.example.com", "eu1.k8s.example.com")


@change(Code.HOST_NOT_PERMITTED)
def a_host_is_taken_that_is_a_clusters_name(branch: Branch) -> None:
    text = branch.read("hosts/public/web.apps.example.com.yaml")
    branch.write(
        "hosts/public/eu9.k8s.example.com.yaml",
        text.replace("web.apps.example.com", "eu9.k8s.example.com"),
    )


@change(Code.OWNED_NOT_SERVED)
def a_wish_is_deleted_and_its_port_is_not(branch: Branch) -> None:
    branch.remove(ORDERS, ORDERS_AT)


@change(Code.HALF_A_UNIT)
def an_addresses_file_is_deleted(branch: Branch) -> None:
    branch.remove(ORDERS_AT)


@change(Code.HALF_A_UNIT)
def addresses_without_a_unit(branch: Branch) -> None:
    path = ORDERS_AT.replace("vs-orders", "vs-mine")
    branch.write(path, branch.read(ORDERS_AT).replace("shop/orders a", "shop/mine a"))


@change(Code.HEAD_MISMATCH)
def anothers_wish_is_copied_over_this_one(branch: Branch) -> None:
    branch.write(ORDERS, branch.read(BILLING))


@change(Code.HEAD_MISMATCH)
def the_first_line_is_taken_away(branch: Branch) -> None:
    branch.write(ORDERS, branch.read(ORDERS).partition("\n")[2])


@change(Code.GATEWAY_NOT_PERMITTED)
def a_unit_on_a_gateway_that_its_tenant_may_not_use(branch: Branch) -> None:
    text = branch.read(LEDGER).replace("gateway: public", "gateway: edge")
    branch.write("ports/edge/20010.yaml", text)
    serve(branch, 20010, branch.placement().wish.unit, gateway="edge")


@change(Code.NOT_RENDERED)
def a_weight_is_edited_in_the_body(branch: Branch) -> None:
    branch.edit(ORDERS, "          weight: 100", "          weight: 1")


@change(Code.NOT_RENDERED)
def a_backend_is_swapped_for_anothers(branch: Branch) -> None:
    other = branch.read(BILLING).split("name: w-eu1-shop-billing-tcp-shop-billing")[1]
    mine = branch.read(ORDERS).split("name: w-eu1-shop-orders-tcp-shop-orders")[1]
    branch.edit(
        ORDERS,
        "w-eu1-shop-orders-tcp-shop-orders" + mine.split("\n")[0],
        "w-eu1-shop-billing-tcp-shop-billing" + other.split("\n")[0],
    )


@change(Code.NOT_RENDERED)
def words_are_hidden_in_the_head(branch: Branch) -> None:
    branch.edit(ORDERS, "# policy:", "# approved by the platform team\n# policy:")


@change(Code.NOT_RENDERED)
def an_address_is_edited_in_the_body(branch: Branch) -> None:
    branch.edit(ORDERS_AT, 'address: "10.20.0.1"', 'address: "10.20.0.9"')


@change(Code.NOT_RENDERED)
def forged_trailers_cover_an_edit(branch: Branch) -> None:
    branch.edit(ORDERS, "          weight: 100", "          weight: 1")
    branch.git("add", "-A")
    old, new = branch.git("diff", "--cached", "--raw", "--no-abbrev").split()[2:4]
    digest = diff_digest([(ORDERS.encode(), old, new)])
    message = f"Update it\n\nWharfinger-Digest: {digest}\nWharfinger-Renderer: 2"
    branch.commit(message)


@change(Code.DIGEST_WRONG)
def a_weight_is_edited_and_the_digest_kept(branch: Branch) -> None:
    placement = branch.placement()
    (route,) = placement.wish.routes
    (only,) = route.destinations
    wish = replace(route, destinations=(replace(only, weight=7),))
    placed = replace(placement.routes[0], wish=wish)
    branch.render(
        replace(
            placement,
            wish=replace(placement.wish, routes=(wish,)),
            routes=(placed,),
        ),
        honest=False,
    )


@change(Code.DIGEST_WRONG)
def clients_are_let_in_and_the_digest_kept(branch: Branch) -> None:
    placement = branch.placement()
    policy = replace(placement.wish.policy, allow_cidrs=("0.0.0.0/0",))
    wish = replace(placement.wish, policy=policy)
    branch.render(replace(placement, wish=wish), honest=False)


@change(Code.ADDRESSES_OF_OTHERS)
def only_the_addresses_go_to_another_service(branch: Branch) -> None:
    text = branch.read(ORDERS_AT)
    branch.write(ORDERS_AT, text.replace("shop/orders:5432", "shop/mine:5432"))


@change(Code.ADDRESS_NOT_PERMITTED)
def traffic_goes_to_a_metadata_service(branch: Branch) -> None:
    text = branch.read(ORDERS_AT).replace("10.20.0.1", "169.254.169.254")
    branch.write(ORDERS_AT, text)


@change(Code.ADDRESS_NOT_PERMITTED)
def traffic_goes_to_a_foreign_network(branch: Branch) -> None:
    branch.write(ORDERS_AT, branch.read(ORDERS_AT).replace("10.20.0.1", "10.99.0.1"))


@change(Code.KIND_NOT_ALLOWED)
def a_right_is_given_in_a_units_file(branch: Branch) -> None:
    branch.write(ORDERS, branch.read(ORDERS) + ROLE)


@change(Code.KIND_NOT_ALLOWED)
def a_right_is_given_in_a_gateways_file(branch: Branch) -> None:
    path = "manifests/public/gateway.yaml"
    branch.write(path, branch.read(path) + ROLE)


@change(Code.FOREIGN_NAMESPACE)
def an_object_goes_to_another_namespace(branch: Branch) -> None:
    branch.edit(ORDERS, "namespace: ingress", "namespace: kube-system")


@change(Code.NOT_YAML)
def a_manifest_with_aliases(branch: Branch) -> None:
    text = branch.read(ORDERS) + "---\na: &a [x]\nb: [*a, *a, *a]\n"
    branch.write(ORDERS, text)
