"""Links: what passes, and each way to misbehave, on sockets that no geopb is behind."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent import socket

from geopb.testing import Clock, MemoryLink, settle
from geopb.testing.lane import WINDOW_BYTES

MakeLink = Callable[..., MemoryLink]


@pytest.fixture
def link(pb_link: MakeLink) -> MemoryLink:
    return pb_link()


class Reading:
    """Reads a socket to its end, in a greenlet.

    Attributes:
        got: What each ``recv`` returned.
        error: What ended it; None for an end of stream.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.got: list[bytes] = []
        self.error: OSError | None = None
        self._sock = sock
        self._greenlet = gevent.spawn(self._read)

    def _read(self) -> None:
        try:
            while data := self._sock.recv(65536):
                self.got.append(data)
        except OSError as error:
            self.error = error

    @property
    def data(self) -> bytes:
        return b"".join(self.got)

    @property
    def ended(self) -> bool:
        return bool(self._greenlet.ready())


def refuses_bytes(sock: socket.socket) -> bool:
    with pytest.raises(OSError, match=r".") as caught:
        sock.send(b"x")
    return caught.value.errno in (errno.EPIPE, errno.ECONNRESET)


def test_bytes_pass_both_ways_and_are_counted(link: MemoryLink) -> None:
    client, server = Reading(link.client_end), Reading(link.server_end)

    link.client_end.sendall(b"hello")
    link.server_end.sendall(b"hi")
    settle()

    assert (server.data, client.data) == (b"hello", b"hi")
    assert (link.to_server.passed, link.to_client.passed) == (5, 2)
    assert repr(link.to_server) == (
        "<Lane to_server 5 bytes passed, 0 in flight, 0 lost>"
    )


def test_many_bytes_arrive_whole_and_in_order(link: MemoryLink) -> None:
    server = Reading(link.server_end)
    data = bytes(range(256)) * 20_000

    link.client_end.sendall(data)
    settle()

    assert server.data == data
    assert link.to_server.in_flight == 0


def test_an_end_that_is_shut_ends_the_other_and_answers_still_pass(
    link: MemoryLink,
) -> None:
    client, server = Reading(link.client_end), Reading(link.server_end)
    link.client_end.sendall(b"question")
    link.client_end.shutdown(socket.SHUT_WR)
    settle()
    assert server.ended
    assert (server.data, server.error) == (b"question", None)
    assert not link.closed

    link.server_end.sendall(b"answer")
    link.server_end.close()
    settle()

    assert (client.data, client.error, client.ended) == (b"answer", None, True)
    assert link.closed


def test_an_end_that_is_closed_closes_the_link(link: MemoryLink) -> None:
    server = Reading(link.server_end)

    link.client_end.close()
    settle()
    assert server.ended
    link.server_end.close()

    assert link.wait_closed(5)


# -- delay and split -------------------------------------------------------------------


def test_a_delay_counts_on_the_links_clock(pb_link: MakeLink, pb_clock: Clock) -> None:
    link = pb_link(clock=pb_clock)
    link.to_server.delay(2)
    server, client = Reading(link.server_end), Reading(link.client_end)

    link.client_end.sendall(b"slow")
    link.server_end.sendall(b"quick")
    pb_clock.advance(1.75)
    assert (server.data, client.data) == (b"", b"quick")
    assert link.to_server.in_flight == 4
    pb_clock.advance(0.25)

    assert server.data == b"slow"


def test_a_delay_delays_and_does_not_throttle(
    pb_link: MakeLink, pb_clock: Clock
) -> None:
    link = pb_link(clock=pb_clock)
    link.delay(10)
    server = Reading(link.server_end)

    for number in range(10):
        link.client_end.sendall(b"%d" % number)
        pb_clock.advance(1)

    assert server.data == b"0"
    pb_clock.advance(9)
    assert server.data == b"0123456789"


def test_nothing_overtakes_when_a_delay_is_taken_away(
    pb_link: MakeLink, pb_clock: Clock
) -> None:
    link = pb_link(clock=pb_clock)
    link.delay(3)
    server = Reading(link.server_end)
    link.client_end.sendall(b"first ")
    pb_clock.advance(1)

    link.delay(0)
    link.client_end.sendall(b"second")
    pb_clock.advance(1)
    assert server.data == b""
    pb_clock.advance(1)

    assert server.data == b"first second"


def test_the_end_of_a_stream_is_delayed_as_its_bytes_are(
    pb_link: MakeLink, pb_clock: Clock
) -> None:
    link = pb_link(clock=pb_clock)
    link.delay(1)
    server = Reading(link.server_end)

    link.client_end.sendall(b"x")
    link.client_end.close()
    pb_clock.advance(0.5)
    assert (server.data, server.ended) == (b"", False)
    pb_clock.advance(0.5)

    assert (server.data, server.ended) == (b"x", True)


def test_a_delay_in_real_time_passes(link: MemoryLink) -> None:
    link.delay(0.002)

    link.client_end.sendall(b"x")

    assert link.server_end.recv(1) == b"x"


def test_a_lane_takes_a_window_of_bytes_and_no_more(
    pb_link: MakeLink, pb_clock: Clock
) -> None:
    link = pb_link(clock=pb_clock)
    link.delay(1)
    server = Reading(link.server_end)
    data = bytes(3 * WINDOW_BYTES)
    sending = gevent.spawn(link.client_end.sendall, data)

    settle()
    assert WINDOW_BYTES <= link.to_server.in_flight < WINDOW_BYTES + 65536
    assert not sending.ready()
    link.stall()
    link.resume()
    settle()
    assert link.to_server.in_flight < WINDOW_BYTES + 65536
    pb_clock.advance(4)

    assert sending.ready()
    assert server.data == data


@pytest.mark.parametrize("size", [1, 3, 100])
def test_each_piece_is_read_by_itself(link: MemoryLink, size: int) -> None:
    link.to_server.split(size)
    server = Reading(link.server_end)
    data = bytes(range(100))

    link.client_end.sendall(data)
    settle()

    assert server.got == [data[at : at + size] for at in range(0, 100, size)]


def test_a_split_may_be_taken_back(link: MemoryLink) -> None:
    link.split(1)
    link.split(None)
    server = Reading(link.server_end)

    link.client_end.sendall(b"whole")
    settle()

    assert server.got == [b"whole"]


# -- stalling and losing ---------------------------------------------------------------


def test_a_stalled_lane_holds_its_sender_up_until_it_is_resumed(
    link: MemoryLink,
) -> None:
    server, client = Reading(link.server_end), Reading(link.client_end)
    link.to_server.stall()
    data = b"x" * 1_000_000
    sending = gevent.spawn(link.client_end.sendall, data)
    link.server_end.sendall(b"the other lane")

    settle()
    assert not sending.ready()
    assert (server.data, client.data) == (b"", b"the other lane")
    assert link.to_server.stalled
    assert link.holds_back
    link.to_server.resume()
    settle()

    assert sending.ready()
    assert server.data == data
    assert not link.holds_back


def test_what_was_on_its_way_is_stalled_too(pb_link: MakeLink, pb_clock: Clock) -> None:
    link = pb_link(clock=pb_clock)
    link.delay(1)
    server = Reading(link.server_end)
    link.client_end.sendall(b"x")
    settle()

    link.stall()
    pb_clock.advance(5)
    assert server.data == b""
    link.resume()
    settle()

    assert server.data == b"x"


def test_a_lane_that_loses_is_not_noticed_by_its_sender(link: MemoryLink) -> None:
    server, client = Reading(link.server_end), Reading(link.client_end)
    link.to_server.lose()

    link.client_end.sendall(b"x" * 1_000_000)
    link.server_end.sendall(b"back")
    settle()

    assert (server.data, client.data) == (b"", b"back")
    assert link.to_server.lost == 1_000_000
    link.client_end.close()
    settle()
    link.server_end.sendall(b"to nobody")
    settle()
    assert not server.ended
    assert not link.closed


def test_what_is_on_its_way_is_lost_too(pb_link: MakeLink, pb_clock: Clock) -> None:
    link = pb_link(clock=pb_clock)
    link.delay(1)
    server = Reading(link.server_end)
    link.client_end.sendall(b"x")
    settle()

    link.lose()
    pb_clock.advance(2)

    assert server.data == b""
    assert (link.to_server.lost, link.to_server.in_flight) == (1, 0)


# -- cutting ---------------------------------------------------------------------------


def test_a_reset_is_an_error_at_both_ends(link: MemoryLink) -> None:
    client, server = Reading(link.client_end), Reading(link.server_end)
    settle()

    link.reset()
    link.reset()
    settle()

    for end in (client, server):
        assert isinstance(end.error, ConnectionResetError)
    assert refuses_bytes(link.client_end)
    assert refuses_bytes(link.server_end)
    assert link.closed


def test_bytes_that_have_arrived_are_read_before_the_reset(link: MemoryLink) -> None:
    link.client_end.sendall(b"arrived")
    settle()

    link.reset()
    server = Reading(link.server_end)
    settle()

    assert server.data == b"arrived"
    assert isinstance(server.error, ConnectionResetError)


def test_a_reset_of_one_lane_is_noticed_by_its_receiver_only(
    link: MemoryLink,
) -> None:
    client, server = Reading(link.client_end), Reading(link.server_end)

    link.to_server.reset()
    link.client_end.sendall(b"into the void")
    settle()

    assert isinstance(server.error, ConnectionResetError)
    assert not client.ended
    assert link.to_server.lost == 13
    link.client_end.close()
    settle()
    assert link.closed


def test_a_fin_ends_one_direction_behind_what_is_on_its_way(
    pb_link: MakeLink, pb_clock: Clock
) -> None:
    link = pb_link(clock=pb_clock)
    link.to_server.delay(1)
    client, server = Reading(link.client_end), Reading(link.server_end)
    link.client_end.sendall(b"before")
    settle()

    link.to_server.fin()
    link.to_server.fin()
    link.client_end.sendall(b"after")
    pb_clock.advance(1)

    assert (server.data, server.error, server.ended) == (b"before", None, True)
    link.server_end.sendall(b"back")
    settle()
    assert client.data == b"back"
    assert not client.ended


def test_a_fin_of_the_link_is_a_clean_end_for_both(link: MemoryLink) -> None:
    ends = Reading(link.client_end), Reading(link.server_end)

    link.fin()
    settle()

    assert [(each.ended, each.error) for each in ends] == [(True, None)] * 2


def test_closing_a_link_is_a_clean_end_for_both(link: MemoryLink) -> None:
    ends = Reading(link.client_end), Reading(link.server_end)

    with link:
        assert repr(link).startswith("<MemoryLink open: <Lane to_server 0 bytes")
    settle()

    assert [(each.ended, each.error) for each in ends] == [(True, None)] * 2
    assert repr(link).startswith("<MemoryLink closed")


def test_an_end_that_goes_with_bytes_unread_resets_the_other(
    link: MemoryLink,
) -> None:
    client = Reading(link.client_end)
    link.client_end.sendall(b"never read")
    settle()

    link.server_end.close()
    settle()

    assert isinstance(client.error, ConnectionResetError)


@pytest.mark.parametrize(
    ("fault", "ended", "error"),
    [
        ("reset", True, ConnectionResetError),
        ("fin", True, type(None)),
        ("stall", False, type(None)),
        ("lose", False, type(None)),
    ],
)
@pytest.mark.parametrize("split", [None, 2])
def test_a_fault_strikes_after_exactly_so_many_bytes(
    link: MemoryLink, fault: Any, ended: bool, error: type, split: int | None
) -> None:
    server = Reading(link.server_end)
    link.split(split)
    link.client_end.sendall(b"12")
    settle()
    link.to_server.after(5, fault)

    link.client_end.sendall(b"345")
    settle()
    assert server.data == b"12345"
    assert not server.ended
    link.client_end.sendall(b"6789")
    settle()

    assert server.data == b"1234567"
    assert server.ended is ended
    assert isinstance(server.error, error)


def test_a_fault_after_no_bytes_strikes_at_once(link: MemoryLink) -> None:
    link.to_client.after(0, "reset")

    assert link.closed


def test_commands_to_a_link_that_is_over_do_nothing(link: MemoryLink) -> None:
    link.close()

    for lane in (link.to_server, link.to_client):
        lane.stall()
        lane.resume()
        lane.lose()
        lane.fin()
        lane.reset()
        lane.after(0, "fin")
        lane.delay(1)
        lane.split(1)
    link.reset()
    settle()

    assert link.closed


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (lambda lane: lane.delay(-1), "a delay is 0 or more seconds, not -1"),
        (lambda lane: lane.delay(float("nan")), "a delay is 0 or more seconds"),
        (lambda lane: lane.split(0), "a piece has 1 or more bytes, not 0"),
        (lambda lane: lane.after(-1, "fin"), "a number of bytes is 0 or more"),
        (lambda lane: lane.after(1, "explode"), "no fault 'explode'; the faults are"),
    ],
)
def test_a_command_that_makes_no_sense_is_a_ValueError(  # noqa: N802
    link: MemoryLink, command: Callable[[Any], None], text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        command(link.to_server)
