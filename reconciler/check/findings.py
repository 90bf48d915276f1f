"""What `check` says: a rule's code, where, what, and what to do; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.codes import Code


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Finding:
    """One fault. `line` and `column` count from 1; `code` is the rule's, WHF6nn.

    `path` is below the folder that --path names; what lies outside of it begins with a slash
    and is from the repository's root.
    Rules of other rooms may have codes and help of their own.
    """

    path: str
    line: int = 1
    column: int = 1
    code: str
    message: str
    help: str = ""

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}: {self.message} [{self.code}]"


def finding(
    code: Code, path: str, message: str, at: tuple[int, int] = (1, 1), hint: str = ""
) -> Finding:
    """A finding with the help of its rule, unless `hint` knows better; `at` is (line, column)."""
    return Finding(
        path=path,
        line=at[0],
        column=at[1],
        code=code,
        message=message,
        help=hint or HELP[code],
    )


_BACK = "take the file back to what the branch has: `git checkout <branch> -- <path>`"

HELP: Mapping[Code, str] = {
    Code.SETTINGS_INVALID: "correct the settings; `wharfinger schema` prints what an editor can check",
    Code.NO_REGULAR_FILE: "commit a regular file of mode 100644, or none",
    Code.FOREIGN_FILE: "move it out of clusters/, ports/, hosts/, manifests/ and holds/",
    Code.UNSAFE_NAME: "use lower-case ASCII names as the layout has them",
    Code.FILE_TOO_LARGE: "nothing of the layout is that large; remove it",
    Code.LEDGER_MALFORMED: _BACK,
    Code.LEDGER_NOT_CANONICAL: _BACK,
    Code.UNKNOWN_GATEWAY: "name a gateway of wharfinger.yaml",
    Code.HEAD_MISMATCH: _BACK,
    Code.HALF_A_UNIT: "a unit is a wish file and its .endpoints.yaml: keep or revert both",
    Code.KIND_NOT_ALLOWED: "only what the gateway's renderer writes belongs here; keep other objects elsewhere",
    Code.FOREIGN_NAMESPACE: "objects of a gateway are in its own namespace",
    Code.NOT_YAML: "write strict YAML: no aliases, no tags, no key twice",
    Code.SERVED_NOT_OWNED: "let a pass allocate: `wharfinger reconcile`; take hand-made manifests back",
    Code.OWNED_NOT_SERVED: "revert the unit's files together with its ledger file, or neither",
    Code.OWNER_TWICE: "keep the port that the owner had first",
    Code.HOLD_INVALID: "write {reason, by, until?, addresses: frozen?} in holds/<cluster>[/<namespace>[/<name>]].yaml",
    Code.RECORD_INVALID: _BACK,
    Code.NOT_RENDERED: "hold or change the unit in its cluster; `git revert` what a pass wrote instead of editing it",
    Code.DIGEST_WRONG: "hold or change the unit in its cluster; the digest is of the wish and cannot be chosen",
    Code.ADDRESSES_OF_OTHERS: "revert the wish and its .endpoints.yaml together",
    Code.OWNER_UNKNOWN: "accept a new cluster id with `wharfinger accept-cluster`, never in the ledger",
    Code.OWNER_CHANGED: "release the port first and wait out its quarantine, or hand it over with `next:` in a change of its own",
    Code.LIVE_TAKEN_AWAY: "only a pass releases a port: remove the exposure in its cluster, or revert its manifests with it",
    Code.REUSED_SINCE: "keep the ledger file as the branch has it; the returning unit gets a port of its own from the next pass",
    Code.TOMBSTONE_CHANGED: _BACK,
    Code.QUARANTINED: "wait until the quarantine of the tombstone is over",
    Code.RECORD_CHANGED: "only `accept` and `deleted: true` in it are people's; the rest is written by a pass",
    Code.PIPELINE_CHANGED: "put what runs in CI into a change of its own, for reviewers of their own",
    Code.REVIEW_CHANGED: "put what decides how changes are shown and who reviews them into a change of its own",
    Code.PORT_NOT_ALLOCATABLE: "let a pass choose the port, or ask for another one with request-port",
    Code.HOST_NOT_PERMITTED: "use a host under the tenant's `hosts` in wharfinger.yaml",
    Code.ADDRESS_NOT_PERMITTED: "use addresses within the tenant's `endpoints` in wharfinger.yaml",
    Code.GATEWAY_NOT_PERMITTED: "use a gateway that the cluster's tenants entry lists",
    Code.NAMES_COLLIDE: "rename one: some file systems and deploy tools see a single file",
}
