"""`wharfinger kubeconfig`: how to reach a cluster's API through the gateway."""

from __future__ import annotations

import base64
import re

import click

from reconciler import yamlio
from reconciler.cli.options import Target, option, repository_options
from reconciler.errors import Usage
from reconciler.names import cluster_path
from reconciler.plan.records import ApiRecord, parse_record

# Certificates only: whatever else got into a bundle, a private key above all, stays there.
_CERTIFICATE = re.compile(
    r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\n?"
)


@click.command("kubeconfig")
@click.argument("cluster")
@repository_options
@option(
    "--user", default="", help="Name of the user entry [default: the cluster's name]."
)
def command(cluster: str, target: Target, user: str) -> None:
    """Print a kubeconfig for CLUSTER; it holds no credentials, add yours to its user."""
    file = target.open().head().files.get(cluster_path(cluster))
    record = parse_record(cluster, file.data) if file is not None else None
    if record is None or record.api is None:
        raise Usage(
            f"cluster {cluster} has no API route",
            hint="`wharfinger get clusters` lists them",
        )
    name = user or cluster
    click.echo(
        yamlio.dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [
                    {"name": cluster, "cluster": _cluster(record.api, record.ca_bundle)}
                ],
                "users": [{"name": name, "user": {}}],
                "contexts": [
                    {"name": cluster, "context": {"cluster": cluster, "user": name}}
                ],
                "current-context": cluster,
            }
        ),
        nl=False,
    )


def _cluster(api: ApiRecord, ca_bundle: str) -> dict[str, object]:
    found: dict[str, object] = {"server": f"https://{api.host}:{api.port}"}
    if api.server_name:
        found["tls-server-name"] = api.server_name
    certificates = "".join(_CERTIFICATE.findall(_text(ca_bundle)))
    if certificates:
        data = base64.b64encode(certificates.encode()).decode()
        found["certificate-authority-data"] = data
    return found


def _text(ca_bundle: str) -> str:
    """PEM text, also of a bundle in base64 as kubeconfigs have it."""
    if "-----BEGIN" in ca_bundle:
        return ca_bundle
    try:
        return base64.b64decode(ca_bundle, validate=True).decode("ascii")
    except ValueError:
        return ""
