"""geopb: objects that call each other's methods over a connection, on gevent.

Perspective Broker's model with greenlets where it has a reactor and `Promise` where it
has ``Deferred``. Customarily ``import geopb as pb``. All public names are here.
"""

# SERVE and CALL
from geopb.broker.references import RemoteMethod, RemoteReference
from geopb.errors import (
    Cancelled,
    DeadlineExceeded,
    DeadReferenceError,
    Draining,
    Error,
    InsecureJelly,
    LimitExceeded,
    NoSuchMethod,
    PBConnectionLost,
    ProtocolError,
    RemoteError,
    UnauthorizedLogin,
)

# WHAT went wrong?
from geopb.failure import CopiedFailure, Failure

# WHAT may I pass?
from geopb.flavors.cacheable import Cacheable, RemoteCache
from geopb.flavors.copyable import Copyable, RemoteCopy, copyable
from geopb.flavors.referenceable import Referenceable, Root
from geopb.flavors.viewable import AsReferenceable, Avatar, Viewable, ViewPoint
from geopb.jelly.registry import ClassRegistry, setUnjellyableForClass
from geopb.limits import Limits
from geopb.net.client import PBClientFactory, connect
from geopb.net.contexts import tls_client_context, tls_server_context
from geopb.net.server import PBServer, PBServerFactory, serve

# WHEN is the answer there?
from geopb.net.shield import shielded
from geopb.promise import Promise, Timeout, deadline, fail, gather, succeed

__version__ = "0.1.0"

__all__ = [
    "AsReferenceable",
    "Avatar",
    "Cacheable",
    "Cancelled",
    "ClassRegistry",
    "CopiedFailure",
    "Copyable",
    "DeadReferenceError",
    "DeadlineExceeded",
    "Draining",
    "Error",
    "Failure",
    "InsecureJelly",
    "LimitExceeded",
    "Limits",
    "NoSuchMethod",
    "PBClientFactory",
    "PBConnectionLost",
    "PBServer",
    "PBServerFactory",
    "Promise",
    "ProtocolError",
    "Referenceable",
    "RemoteCache",
    "RemoteCopy",
    "RemoteError",
    "RemoteMethod",
    "RemoteReference",
    "Root",
    "Timeout",
    "UnauthorizedLogin",
    "ViewPoint",
    "Viewable",
    "connect",
    "copyable",
    "deadline",
    "fail",
    "gather",
    "serve",
    "shielded",
    "setUnjellyableForClass",
    "succeed",
    "tls_client_context",
    "tls_server_context",
]

for _name in __all__:
    # Users see, and peers match, the names by which these are imported.
    if isinstance(globals()[_name], type):
        globals()[_name].__module__ = __name__
del _name
