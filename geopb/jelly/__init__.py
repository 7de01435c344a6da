"""HOW is an object graph made passable, and who allows it? No I/O."""
