"""What was cancelled leaves the heap, and what was not is called at its time and in its order."""

from kombu.asynchronous.timer import Timer

from tasks.timers import sweep


def test_cancelled_timers_are_forgotten_and_the_others_come_in_their_order():
    timer, called = Timer(), []
    entries = [timer.call_after(900.0 + n % 7, called.append, (n,)) for n in range(1000)]
    due = [timer.call_after(-0.1 * n, called.append, (-n,)) for n in range(5)]
    for one in entries[3:]:
        one.cancel()
    due[2].cancel()
    sweep(timer)
    assert len(timer) == 3 + 4
    for _ in range(4):
        _, entry = next(iter(timer))
        entry()
    assert called == [-4, -3, -1, 0]
    assert sorted(one.entry.args[0] for one in timer.queue) == [0, 1, 2]
