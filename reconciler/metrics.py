"""What `wharfinger run` tells Prometheus (does I/O). No label has a host, a port or a workload."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from prometheus_client import Counter as Total
from prometheus_client import (
    Gauge,
    Histogram,
    disable_created_metrics,
    start_http_server,
)

from reconciler.capacity import Capacity, Level
from reconciler.codes import Code
from reconciler.errors import Exit, Usage
from reconciler.model.plans import Op
from reconciler.model.reviews import Outcome, Step

disable_created_metrics()  # type: ignore[no-untyped-call]

HOLDING = (Code.HELD_BY_COMMIT, Code.HELD_BY_FILE, Code.DECLINED)

PASSES = Total("wharfinger_passes", "Passes made, by exit code.", ["exit"])
LAST_PASS = Gauge("wharfinger_last_pass_timestamp_seconds", "End of the last pass.")
LAST_SUCCESS = Gauge(
    "wharfinger_last_success_timestamp_seconds",
    "End of the last pass with exit code 0.",
)
LAST_FETCH = Gauge(
    "wharfinger_last_fetch_timestamp_seconds",
    "When the branch was last fetched: old means that nobody looks at Git any more.",
)
ROWS = Gauge(
    "wharfinger_plan_rows",
    "Routes that are not as they are wished (hold, withhold, reject, skip), by op.",
    ["op"],
)
COMMITS = Total("wharfinger_pushes", "Passes that pushed commits.")
HELD = Gauge("wharfinger_held_routes", "Routes that a person holds, by code.", ["code"])
PORTS = Gauge(
    "wharfinger_gateway_ports", "Ports of a gateway, by state.", ["gateway", "state"]
)
HOSTS = Gauge("wharfinger_gateway_hosts", "Live SNI hosts of a gateway.", ["gateway"])
HEADROOM = Gauge(
    "wharfinger_gateway_headroom_ports",
    "Routes with a port that still fit, as the first limit allows.",
    ["gateway"],
)
FILL = Gauge(
    "wharfinger_gateway_fill_ratio", "How full a gateway is: 1 is full.", ["gateway"]
)
LEVEL = Gauge(
    "wharfinger_gateway_level",
    "1 at the level of a gateway: ok, warning (80%), critical (95%) or full.",
    ["gateway", "level"],
)
REQUESTS = Gauge("wharfinger_requests", "Pull requests of the last pass.", ["step"])
LEADS = Gauge("wharfinger_leads", "1 while this process holds its Lease.")
KINDS = Total(
    "wharfinger_passes_by_kind", "Passes made: of all or of a slice.", ["kind"]
)
UPDATES = Total("wharfinger_cluster_updates", "Updates of watched clusters.")
WINDOWS = Gauge("wharfinger_open_windows", "Changes that wait for a pass.")
QUEUE_AGE = Gauge(
    "wharfinger_queue_age_seconds", "Age of the change that waits longest."
)
MISSED = Total(
    "wharfinger_units_missed_by_slices",
    "Units that an hourly pass over everything changed: a bug of ours.",
)
SECOND_LOOKS = Total(
    "wharfinger_second_looks", "Clusters listed anew because of a missing object."
)
EVENT_TO_PUSH = Histogram(
    "wharfinger_event_to_push_seconds",
    "From the first update of a window to the push of its commit.",
    buckets=(0.5, 1, 2, 3, 5, 8, 15, 20, 30, 60, 120, 300),
)


def serve(port: int, address: str = "0.0.0.0") -> None:
    """Serve `/metrics` in a thread of its own. Raises Usage where nobody can listen there."""
    try:
        start_http_server(port, address)
    except OSError as exc:
        raise Usage(
            f"metrics cannot be served on port {port}: {exc.strerror}",
            hint="name a free port with --metrics-port",
        ) from exc


def note_pass(code: Exit, *, pushed: bool) -> None:
    """Note the end of a pass."""
    PASSES.labels(exit=str(int(code))).inc()
    LAST_PASS.set(time.time())
    if code is Exit.DONE:
        LAST_SUCCESS.set(time.time())
    if pushed:
        COMMITS.inc()


def note_fetch() -> None:
    """Note that the branch was fetched."""
    LAST_FETCH.set(time.time())


def note_rows(ops: Mapping[Op, int], held: Mapping[Code, int]) -> None:
    """Note what stands: rows by op, and held routes by code."""
    for op in Op:
        ROWS.labels(op=str(op)).set(ops.get(op, 0))
    for each in HOLDING:
        HELD.labels(code=str(each)).set(held.get(each, 0))


def note_requests(outcomes: Sequence[Outcome]) -> None:
    """Note what became of pull requests in a pass."""
    counts = Counter(each.step for each in outcomes)
    for step in Step:
        REQUESTS.labels(step=step.name.lower()).set(counts[step])


def note_windows(open_windows: int, age: float) -> None:
    """Note how many changes wait, and for how many seconds the oldest has."""
    WINDOWS.set(open_windows)
    QUEUE_AGE.set(age)


def note_pushed(ages: Iterable[float]) -> None:
    """Note how many seconds changes took that are pushed now."""
    for age in ages:
        EVENT_TO_PUSH.observe(age)


def note_capacity(found: Sequence[Capacity]) -> None:
    """Note how full gateways are."""
    for each in found:
        states = {
            "active": each.live - each.draining,
            "draining": each.draining,
            "quarantined": each.quarantined,
            "reserved": each.reserved,
            "free": each.free,
        }
        for state, count in states.items():
            PORTS.labels(gateway=each.gateway, state=state).set(count)
        HOSTS.labels(gateway=each.gateway).set(each.hosts)
        HEADROOM.labels(gateway=each.gateway).set(each.headroom)
        FILL.labels(gateway=each.gateway).set(each.fill_percent / 100)
        for level in Level:
            at = LEVEL.labels(gateway=each.gateway, level=str(level))
            at.set(1 if level is each.level else 0)
