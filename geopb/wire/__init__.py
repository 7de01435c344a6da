"""WHAT travels? Frames, messages and the CBOR set-up. No I/O."""
