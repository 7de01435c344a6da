"""Doing the same thing very often, and looking for what has grown."""
