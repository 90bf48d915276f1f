"""Since when which watches of a cluster fail, and why; pure. Times are seconds."""

from __future__ import annotations

from dataclasses import dataclass, field

from reconciler.kubeerrors import KubeError
from reconciler.model.clusters import Unknown


@dataclass(slots=True)
class Health:
    """What fails. `deadline` is how long it may until the cluster is unknown."""

    deadline: float
    _since: dict[str, float] = field(default_factory=dict)
    _reasons: dict[str, Unknown] = field(default_factory=dict)

    def failed(self, part: str, error: KubeError, now: float) -> bool:
        """A part fails; whether it has only just begun to."""
        self._reasons[part] = error.unknown()
        if part in self._since:
            return False
        self._since[part] = now
        return True

    def well(self, part: str) -> None:
        """A part works."""
        self._since.pop(part, None)
        self._reasons.pop(part, None)

    def clear(self) -> None:
        """Everything was listed just now."""
        self._since.clear()
        self._reasons.clear()

    def verdict(self, now: float) -> Unknown | None:
        """Why the cluster is unknown: what has failed longest; `None` while it is not."""
        overdue = {
            part: since
            for part, since in self._since.items()
            if since + self.deadline <= now
        }
        if not overdue:
            return None
        return self._reasons[min(overdue, key=lambda part: (overdue[part], part))]
