"""Quiet windows: nothing before its rest, nothing later than it may wait, in any order."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from reconciler.live.windows import Pace, Window, Windows

PACE = Pace(quiet=2.0, longest=15.0)
KEYS = ("eu1/a", "eu1/b", "us1/a")

changes = st.lists(
    st.tuples(
        st.integers(0, 800).map(lambda eighths: eighths / 8), st.sampled_from(KEYS)
    ),
    max_size=60,
)


def played(
    events: Sequence[tuple[float, str]], pace: Pace = PACE
) -> list[tuple[float, dict[str, Window]]]:
    """What is taken when, by somebody who comes exactly when something is ready."""
    windows: Windows[str] = Windows(pace)
    taken: list[tuple[float, dict[str, Window]]] = []

    def until(now: float) -> None:
        while (ready := windows.next_at()) is not None and ready < now:
            taken.append((ready, dict(windows.take(ready))))

    for at, key in sorted(events, key=lambda event: event[0]):
        until(at)
        windows.note(key, at)
    until(float("inf"))
    assert len(windows) == 0
    return taken


@given(changes)
def test_every_change_is_taken_and_none_waits_longer_than_the_longest(
    events: list[tuple[float, str]],
) -> None:
    taken = played(events)
    for at, key in events:
        when = [
            time
            for time, windows in taken
            if key in windows and windows[key].first <= at <= windows[key].last
        ]
        assert len(when) == 1
        assert when[0] - at <= PACE.longest


@given(changes)
def test_nothing_is_taken_before_it_was_quiet_unless_it_waited_the_longest(
    events: list[tuple[float, str]],
) -> None:
    for time, windows in played(events):
        for key, window in windows.items():
            noisy = [at for at, other in events if other == key and at <= time]
            assert max(noisy) == window.last
            waited = time - window.first >= PACE.longest
            assert time - window.last >= PACE.quiet or waited


@given(changes, st.randoms())
def test_the_order_of_changes_at_one_time_does_not_matter(
    events: list[tuple[float, str]], random: object
) -> None:
    shuffled = list(events)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    ordered = sorted(shuffled, key=lambda event: event[0])

    assert _without_order(played(events)) == _without_order(played(ordered))


def _without_order(
    taken: list[tuple[float, dict[str, Window]]],
) -> list[tuple[float, list[tuple[str, Window]]]]:
    return [(at, sorted(windows.items(), key=str)) for at, windows in taken]


@given(changes)
def test_a_key_that_never_rests_changes_nothing_for_the_others(
    events: list[tuple[float, str]],
) -> None:
    noise = [(float(second), "noise") for second in range(0, 120)]

    def seen(all_events: list[tuple[float, str]]) -> list[tuple[float, str]]:
        return sorted(
            (at, key)
            for at, windows in played(all_events)
            for key in windows
            if key != "noise"
        )

    assert seen(events) == seen([*events, *noise])


def test_what_never_rests_is_taken_again_and_again() -> None:
    taken = played([(float(second), "noise") for second in range(60)])

    assert [at for at, _ in taken] == [15.0, 31.0, 47.0, 61.0]


def test_windows_of_a_failed_pass_keep_their_age() -> None:
    windows: Windows[str] = Windows(PACE)
    windows.note("eu1/a", 0.0)
    taken = windows.take(2.0)
    windows.note("eu1/a", 3.0)

    windows.give_back(taken)

    assert windows.oldest() == 0.0
    assert windows.next_at() == 5.0
    windows.note("eu1/a", 14.0)
    assert windows.next_at() == 15.0


@given(st.lists(st.tuples(st.sampled_from(KEYS), st.booleans()), max_size=80))
def test_entries_do_not_pile_up_while_passes_fail(
    steps: list[tuple[str, bool]],
) -> None:
    windows: Windows[str] = Windows(PACE)
    for number, (key, fails) in enumerate(steps):
        now = number * 20.0
        windows.note(key, now)
        taken = windows.take(now + 19.0)
        if fails:
            windows.give_back(taken)
        windows.next_at()
    assert len(windows) <= len(KEYS)
    assert len(windows._heap) <= 2 * len(KEYS)


def test_dropped_keys_are_taken_by_nobody() -> None:
    windows: Windows[str] = Windows(PACE)
    windows.note("eu1/a", 0.0)
    windows.note("eu1/b", 0.0)

    windows.drop(["eu1/a", "us1/a"])

    assert list(windows.take(60.0)) == ["eu1/b"]
    assert windows.next_at() is None


def test_an_earlier_appointment_counts() -> None:
    alarms: Windows[str] = Windows(Pace(quiet=0.0, longest=0.0))
    alarms.note("eu1/a", 60.0)
    alarms.note("eu1/a", 5.0)
    alarms.note("eu1/a", 90.0)

    assert alarms.next_at() == 5.0
    assert list(alarms.take(5.0)) == ["eu1/a"]
    assert alarms.next_at() is None
