#!/usr/bin/env bash
# Makes the clusters of the tests with kind instead of ours, and runs the tests that can use them.
#   tests/stack/kind.sh up | test | down
# Needs docker, kind, kubectl, helm, and a built stack (`make stack`). Tests need root.
set -euo pipefail
cd "$(dirname "$0")/../.."
clusters=(hub workload-1 workload-2)
state=${WHARFINGER_KIND_STATE:-$PWD/.stack-logs/kind}
config=$state/kubeconfig
balancer=wharfinger-load-balancer
balancer_image=registry.k8s.io/cloud-provider-kind/cloud-controller-manager:v0.10.0
gateway_version=v1.9.0
# Those whose workloads and proxies are where kind's pods reach them.
chosen="envoy_gateway_serves or kubectl_reaches or rbac or argo_cd_applies or flux_applies"

create() {
    # The name that clients use for an API must be in its certificate (workload-2 goes without).
    kind create cluster --name "$1" --kubeconfig "$config" --wait 120s --config - <<EOF
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
kubeadmConfigPatches:
- |
  kind: ClusterConfiguration
  apiServer:
    certSANs: [localhost, 127.0.0.1, $1-control-plane$([ "$1" = workload-1 ] && echo ", $1.k8s.example.com")]
EOF
    local address
    address=$(docker inspect -f '{{.NetworkSettings.Networks.kind.IPAddress}}' "$1-control-plane")
    # Pods of the hub dial the other API servers: node addresses, not ports of localhost.
    kubectl --kubeconfig "$config" config set-cluster "kind-$1" --server "https://$address:6443"
    kubectl --kubeconfig "$config" config rename-context "kind-$1" "$1"
}

up() {
    mkdir -p "$state"
    for cluster in "${clusters[@]}"; do create "$cluster"; done
    docker run -d --rm --name "$balancer" --network kind \
        -v /var/run/docker.sock:/var/run/docker.sock "$balancer_image" --gateway-channel disabled
    helm --kubeconfig "$config" --kube-context hub install eg oci://docker.io/envoyproxy/gateway-helm \
        --version "$gateway_version" --namespace envoy-gateway-system --create-namespace --wait \
        --set config.envoyGateway.extensionApis.enableBackend=true
    kubectl --kubeconfig "$config" --context hub apply -f - <<'EOF'
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: envoy}
spec: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}
EOF
}

run_tests() {
    # The IPv4 gateway of kind's network: this machine, as pods see it.
    local address
    address=$(docker network inspect kind -f '{{range .IPAM.Config}}{{println .Gateway}}{{end}}' |
        grep -m 1 -E '^[0-9.]+$')
    WHARFINGER_STACK_KUBECONFIG=$config WHARFINGER_STACK_ADDRESS=$address WHARFINGER_STACK=require \
        .venv/bin/pytest -q -k "$chosen" tests/stack/test_harness.py tests/stack/test_engines.py
}

down() {
    docker rm --force "$balancer" >/dev/null 2>&1 || true
    for cluster in "${clusters[@]}"; do kind delete cluster --name "$cluster"; done
    rm -rf "$state"
}

case ${1:-} in
up) up ;;
test) run_tests ;;
down) down ;;
*)
    echo "usage: tests/stack/kind.sh up | test | down" >&2
    exit 2
    ;;
esac
