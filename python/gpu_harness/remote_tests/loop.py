"""In which order tests are run and told: those of this machine at once, in their order, and between them, whole, what has
come from the node meanwhile; then the rest of the node's as it comes."""

import collections
import queue


def loop(session, here, told, teller):
    """`told` is a queue of what the node says."""
    waiting = collections.deque()
    for item, following in zip(here, [*here[1:], None]):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        _stop_where_wanted(session)
        waiting.extend(_all_of(told))
        for said in _whole(waiting):
            teller.tell(said)
            _stop_where_wanted(session)
    # Until it ends: what a test printed may come after its end, where it is not captured.
    while teller.left or teller.elsewhere or not teller.has_ended:
        said = waiting.popleft() if waiting else told.get()
        goes_on = teller.tell(said)
        _stop_where_wanted(session)
        if not goes_on:
            break


def _stop_where_wanted(session):
    if session.shouldfail:
        raise session.Failed(session.shouldfail)
    if session.shouldstop:
        raise session.Interrupted(session.shouldstop)


def _all_of(told):
    while True:
        try:
            yield told.get_nowait()
        except queue.Empty:
            return


def _whole(waiting):
    """What has been said, up to a test that is not at its end: its reports are told in one go."""
    while waiting:
        if waiting[0]["said"] == "start":
            ends = (n for n, said in enumerate(waiting) if said["said"] in ("done", "crashed", "broken", "gone"))
            end = next(ends, None)
            if end is None:
                return
            yield from [waiting.popleft() for _ in range(end + 1)]
        else:
            yield waiting.popleft()
