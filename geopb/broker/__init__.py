"""WHO remembers? References in and out, pending calls, the state machine. No I/O."""
