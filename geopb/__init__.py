"""geopb: objects that call each other's methods over a connection, on gevent.

Perspective Broker's model with greenlets where it has a reactor and `Promise` where it
has ``Deferred``. Customarily ``import geopb as pb``. All public names are here.
"""

# SERVE and CALL
from geopb.broker.references import RemoteMethod, RemoteReference

# WHO are you?
from geopb.cred.checkers import (
    AllowAnonymousAccess,
    CertificateChecker,
    InMemoryUsernamePasswordDatabaseDontUse,
    TokenChecker,
)
from geopb.cred.credentials import (
    Anonymous,
    ClientCertificate,
    Token,
    UsernamePassword,
)
from geopb.cred.file import VerifierFile
from geopb.cred.portal import Checker, IPerspective, Portal, Realm
from geopb.cred.verifiers import make_verifier
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
from geopb.flavors.streamed import stream, stream_file
from geopb.flavors.viewable import AsReferenceable, Avatar, Viewable, ViewPoint
from geopb.jelly.registry import ClassRegistry, setUnjellyableForClass
from geopb.limits import Limits
from geopb.net.client import PBClientFactory, connect
from geopb.net.contexts import tls_client_context, tls_server_context
from geopb.net.iterator import RemoteIterator
from geopb.net.server import PBServer, PBServerFactory, serve

# WHEN is the answer there?
from geopb.net.shield import shielded
from geopb.promise import Promise, Timeout, deadline, fail, gather, succeed

__version__ = "0.1.0"

__all__ = [
    "AllowAnonymousAccess",
    "Anonymous",
    "AsReferenceable",
    "Avatar",
    "Cacheable",
    "Cancelled",
    "CertificateChecker",
    "Checker",
    "ClassRegistry",
    "ClientCertificate",
    "CopiedFailure",
    "Copyable",
    "DeadReferenceError",
    "DeadlineExceeded",
    "Draining",
    "Error",
    "Failure",
    "InMemoryUsernamePasswordDatabaseDontUse",
    "InsecureJelly",
    "IPerspective",
    "LimitExceeded",
    "Limits",
    "make_verifier",
    "NoSuchMethod",
    "PBClientFactory",
    "PBConnectionLost",
    "PBServer",
    "PBServerFactory",
    "Portal",
    "Promise",
    "ProtocolError",
    "Realm",
    "Referenceable",
    "RemoteCache",
    "RemoteCopy",
    "RemoteError",
    "RemoteIterator",
    "RemoteMethod",
    "RemoteReference",
    "Root",
    "Timeout",
    "Token",
    "TokenChecker",
    "UnauthorizedLogin",
    "UsernamePassword",
    "VerifierFile",
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
    "stream",
    "stream_file",
    "succeed",
    "tls_client_context",
    "tls_server_context",
]

for _name in __all__:
    # Users see, and peers match, the names by which these are imported.
    if isinstance(globals()[_name], type):
        globals()[_name].__module__ = __name__
del _name
