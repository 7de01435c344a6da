"""One connection: a socket, its one reader, its one writer at a time.

Owns the socket and the life of a connection. The greenlet in `run` is the only one
that reads. Writing is a role, taken by the hub for what the kernel accepts at once and
by a pooled worker for the rest: a connection at rest has one greenlet. Never knows
what a message means: that is the broker's. Called by servers and clients (run, close),
references (calls) and the broker (as its host).
"""

from __future__ import annotations

import logging
import os
from functools import partial

from gevent import get_hub, socket
from gevent.event import Event

from geopb.broker.broker import Broker
from geopb.broker.references import DisconnectCallback, RemoteReference
from geopb.broker.state import State
from geopb.errors import (
    LimitExceeded,
    PBConnectionLost,
    ProtocolError,
)
from geopb.failure import Failure
from geopb.finalizers import finalizer_queue
from geopb.flavors.referenceable import Referenceable
from geopb.net.caller import Caller
from geopb.net.drain import Drain
from geopb.net.ending import open_connections
from geopb.net.faces import Faces
from geopb.net.foreign import explain_foreign, refusal
from geopb.net.gate import Gate
from geopb.net.options import Options
from geopb.net.reader import Reader
from geopb.net.service import Service
from geopb.net.share import Share
from geopb.net.sockets import drain, prepare
from geopb.net.tls import Secure
from geopb.net.transport import transport
from geopb.net.watch import Watch
from geopb.net.watchers import tell
from geopb.net.writer import Writer
from geopb.promise.promise import Promise
from geopb.text import printable, safe_str
from geopb.wire.framing import ForeignProtocol
from geopb.workers import worker_pool

#: Seconds to send answers that are due already after the peer has stopped sending.
_LAST_FLUSH = 1.0


class Connection(Faces):
    """One end of a connection; the broker's host and its references' line.

    Args:
        sock: A connected gevent socket, which becomes the connection's.
        peer: The other end as text, for logs and errors.
        options: The factory's.
        lobby: What the peer may call first.
        secure: How to speak TLS on it; None: not at all, or `sock` does.
        tell_foreign: Tell a peer that does not speak geopb, or TLS, so; and the log.
    """

    # fmt: off
    __slots__ = (
        "__weakref__", "_caller", "_disowned", "_drain", "_finalizers", "_gate", "_hub",
        "_logged", "_parting", "_pool", "_reads_on", "_share", "_sock", "_tell_foreign",
        "_transport", "_watch", "_watchers", "_writer", "broker", "call", "closed",
        "hurry", "lost", "offer", "options", "peer", "service", "start", "up", "wake"
    )
    # fmt: on

    def __init__(
        self,
        sock: socket.socket,
        peer: str,
        options: Options,
        lobby: Referenceable | None = None,
        secure: Secure | None = None,
        *,
        tell_foreign: bool = False,
    ) -> None:
        self.peer = peer
        self.options = options
        #: Why the connection has ended; None while it has not.
        self.lost: Exception | None = None
        #: Ready once the peer's hello is in, or fails with why that never came.
        self.up: Promise[Connection] = Promise()
        #: Set when the reader has ended and the socket is closed.
        self.closed = Event()
        self._sock = sock
        self._hub = get_hub()
        self._pool = worker_pool()
        self._finalizers = finalizer_queue(self._pool.submit_function)
        self._tell_foreign = tell_foreign
        #: The peer is to read what was said last before the socket is closed.
        self._reads_on = False
        #: This is a copy in a child process, which ends nothing.
        self._disowned = False
        self._watchers: list[tuple[RemoteReference, DisconnectCallback]] = []
        self._parting = ""
        #: The log says why the connection has ended, or is about to.
        self._logged = False
        self.broker = Broker(
            self,
            options.limits,
            lobby,
            readers=options.readers(self._hub),
            registry=options.registry,
        )
        self._gate = Gate(self.broker)
        outbox = self.broker.post.outbox
        self._transport = transport(sock, secure, outbox)
        # One object for both: it makes the same of a peer that takes nothing.
        failed = self._write_failed
        self._watch = Watch(sock, peer, options.limits.keepalive, failed, outbox)
        self._writer = Writer(sock, self._transport, failed, self._gate, self._watch)
        #: For the broker: bytes wait to be sent at the end of this turn of the loop;
        #: and so many that they are to be sent now.
        self.wake = self._writer.wake
        self.offer = self._writer.offer
        self.hurry = self._writer.callback
        self._share = Share(options.load)
        self.service = Service(self.broker, self._gate, options, self._share)
        self._caller = Caller(self, self.broker, self._gate)
        self._drain = Drain(self.broker, self.service, self._caller, self._gate)
        #: Send calls of this side, and run the peer's.
        self.call = self._caller.call
        self.start = self.service.start
        # The hello goes first: calls may be made from now on.
        self.broker.begin()
        open_connections.add(self)

    # -- life ------------------------------------------------------------------------

    def run(self) -> None:
        """Read until the connection ends; blocks, in the greenlet that reads."""
        self._bound_handshake()
        lost: Exception | None = None
        try:
            prepare(self._sock, self.options.limits.keepalive)
            self._transport.begin(self._writer.wake, self._write_failed)
            lost = self._read()
            self._writer.deaf = True
            self.flush(_LAST_FLUSH)
        finally:
            killed = f"the reader of {self.peer} was killed"
            self._end(PBConnectionLost(killed) if lost is None else lost)
            if self._reads_on:
                drain(self._sock, _LAST_FLUSH)
            self._sock.close()
            self.closed.set()

    def _bound_handshake(self) -> None:
        """Give the peer's hello its time."""
        timer = self._hub.loop.timer(self.options.limits.handshake_timeout)
        # Not in the hub: logging may block.
        timer.start(self._pool.submit_function, self._silent)
        # Settled in any case: by the hello, or at the end.
        self.up.rawlink(lambda _: timer.close())

    def disown(self) -> None:
        """Be lost without a trace on the line: it belongs to the parent process."""
        self._caller.close()
        self._writer.disown()
        self._disowned = True
        self.lost = PBConnectionLost(
            f"the connection to {self.peer} belongs to the parent process"
        )

    def take_line(self, other: int) -> None:
        """Have the socket's descriptor stand for `other`'s line, in this process."""
        own = self._sock.fileno()
        if own >= 0:
            os.dup2(other, own, inheritable=False)

    def is_ours(self) -> bool:
        """Whether the connection belongs to this thread."""
        return get_hub() is self._hub

    def flush(self, timeout: float) -> bool:
        """Wait until all that is queued is sent, for up to `timeout` seconds."""
        # Before TLS is up nothing waits that is worth it: no reference has crossed.
        return self._transport.up and self._writer.flush_within(timeout)

    def close(
        self, reason: str = "closed", timeout: float = 5.0, *, at_fault: bool = False
    ) -> None:
        """Send what is queued, for up to `timeout` seconds, then end; idempotent.

        Calls that are pending then fail, which is not logged; why it ends is, as a
        warning where the peer is `at_fault`.
        """
        if self._disowned:
            return
        if self.lost is None:
            self._log_end(f"{self.peer}: connection ended: {reason}", at_fault=at_fault)
            # Behind all that is queued: it says that nothing more will come.
            self.broker.say_goodbye(reason)
            # The peer closes when it has read that: a socket that is closed before
            # with bytes unread is reset, and the peer never sees what was said last.
            # A server that has not even said hello is not waited for.
            answers = self.up.ready() or self._tell_foreign
            self._reads_on |= self.flush(timeout) and answers
            self._end(PBConnectionLost(f"disconnected from {self.peer}"), quiet=True)
        if not self.closed.wait(_LAST_FLUSH):
            self._writer.close_both_ways()
            self.closed.wait(_LAST_FLUSH)

    def _read(self) -> Exception:
        """Read to the end; return why it ended."""
        try:
            Reader(
                self._sock,
                self._transport,
                self.broker,
                self._gate,
                self._share,
                self.options.busy_poll,
            ).run()
            return self._went()
        except (ProtocolError, LimitExceeded) as error:
            return self._violated(error)
        except OSError as error:
            if self.up.ready():
                # At once: there is nobody to send the rest to.
                return self._broken(error)
            return self._insecure(self._transport.explain(error, self.peer))

    def _went(self) -> Exception:
        """Return how the peer has ended the connection."""
        if self.broker.state is State.PARTED:
            reason = self._parting
            return PBConnectionLost(f"{self.peer} closed the connection: {reason}")
        if self.broker.in_the_middle:
            return PBConnectionLost(f"{self.peer} went in the middle of a message")
        return PBConnectionLost(f"{self.peer} closed the connection")

    def _violated(self, error: Exception) -> Exception:
        """End a connection whose peer broke the protocol: tell both sides why."""
        if self.lost is not None:
            return self.lost
        self._log_end(f"{self.peer}: connection ended: {error}", at_fault=True)
        if isinstance(error, ForeignProtocol):
            if self._tell_foreign:
                self._writer.say(self._transport.seal(refusal(error)))
                self._reads_on = True
            return ProtocolError(explain_foreign(error, self.peer))
        self.broker.say_goodbye(f"protocol error: {error}")
        return ProtocolError(f"{self.peer} broke the protocol: {error}")

    def _insecure(self, reason: Exception) -> Exception:
        """Take note of why TLS failed, unless the peer just went."""
        if self._tell_foreign and not isinstance(reason, PBConnectionLost):
            self._log_end(f"connection ended: {reason}", at_fault=True)
            self._reads_on = True
        return reason

    def _silent(self) -> None:
        """The peer's hello did not come in time."""
        if self.lost is not None or self.up.ready():
            return
        limit = self.options.limits.handshake_timeout
        missed = "said nothing that geopb says"
        if not self._transport.up:
            missed = "did not finish the TLS handshake"
        text = f"{self.peer} {missed} within {limit:g} s"
        self._log_end(f"{text} (handshake_timeout)", at_fault=True)
        self._end(TimeoutError(f"{text} (handshake_timeout): is it a geopb server?"))

    def _broken(self, error: OSError) -> Exception:
        """End a connection on which reading or writing failed; return why it ended."""
        if self.lost is None:
            lost, not_reading = self._watch.explain(error)
            if not_reading:
                self._log_end_soon(f"{lost}; it is dropped", at_fault=True)
            self._end(lost)
        return self.lost or error

    def _write_failed(self, error: OSError) -> None:
        # Before the hello the reader finds why: the peer may have said so first.
        if self.up.ready() or not isinstance(error, ConnectionError):
            self._broken(error)

    def _end(self, lost: Exception, *, quiet: bool = False) -> None:
        """End once: fail the pending, then tell the watchers. Does not switch."""
        if self.lost is not None:
            return
        self.lost = lost
        self._log_end_soon(f"connection ended: {safe_str(lost, 500)}")
        self._caller.close()
        open_connections.discard(self)
        self._writer.say(self._transport.farewell())
        self._writer.close(read_on=self._reads_on)
        self.broker.close(lost, quiet=quiet)
        self._gate.close()
        self.service.close()
        self._drain.close()
        if not self.up.ready():
            self.up.settle(None, Failure(lost, quiet=True))
        watchers, self._watchers = self._watchers, []
        self._pool.submit(tell, watchers)

    def _log_end(self, text: str, *, at_fault: bool = False) -> None:
        """Log why the connection ends, once; `at_fault`: it is the peer's doing."""
        if self._logged:
            return
        self._logged = True
        told = self.options.told
        notices = told.ended if at_fault else told.closed
        level = logging.WARNING if at_fault else logging.INFO
        notices.log(level, "%s", printable(text, 600))

    def _log_end_soon(self, text: str, *, at_fault: bool = False) -> None:
        # Not here, which may be the hub: logging may block.
        self._pool.submit_function(partial(self._log_end, text, at_fault=at_fault))

    def parted(self, reason: str) -> None:
        """The peer said goodbye: for the broker."""
        self._parting = reason

    def statistics(self) -> dict[str, int]:
        """Return how full the connection's tables are, by name."""
        return {**self.broker.statistics(), "running": self.service.running}

    def __repr__(self) -> str:
        state = "ended" if self.lost is not None else self.broker.state.value
        return f"<Connection {self.peer} {state}>"
