"""What both sides know: a worker, and what it may be doing."""

import enum
from dataclasses import dataclass

import geopb as pb


class State(enum.Enum):
    IDLE = "idle"
    BUSY = "busy"


pb.setUnjellyableForClass(State, State)


@pb.copyable
@dataclass(frozen=True)
class Worker:
    name: str
    state: State = State.IDLE
    job: str = ""

    def __str__(self):
        return f"{self.name} is {self.state.value}" + (self.job and f": {self.job}")
