"""WHAT may I pass? The classes that say how an object crosses. No I/O."""
