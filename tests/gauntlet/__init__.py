"""137 ways to harm a server: see the page beside."""
