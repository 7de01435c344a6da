"""WHERE are the sockets? Connections, servers, clients: the only room with I/O."""
