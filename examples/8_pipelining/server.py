"""A library, book by book: ``python server.py [ADDRESS]``."""

import signal
import sys

import gevent

import geopb as pb


class Book(pb.Referenceable):
    def __init__(self, title, pages):
        self.title = title
        self.pages = pages
        self.reader = None

    def remote_page(self, number):
        print("page", number, "of", self.title)
        return self.pages[number - 1]


class Shelf(pb.Referenceable):
    def __init__(self, books):
        self.books = books

    def remote_book(self, title):
        if title not in self.books:
            raise pb.Error(f"there is no {title}")
        return self.books[title]


class Library(pb.Root):
    def __init__(self):
        odyssey = Book("Odyssey", ["Tell me, O Muse", "of that man of many turns"])
        self.shelves = {"poetry": Shelf({"Odyssey": odyssey})}

    def remote_shelf(self, name):
        print("asked for", name)
        return self.shelves[name]

    def remote_lend(self, book, reader):
        book.reader = reader  # the book itself: it is at home here
        print(book.title, "is lent to", reader)
        return f"{reader} has {book.title}"


def main(address="127.0.0.1:8800"):
    with pb.serve(Library(), address) as server:
        for number in (signal.SIGINT, signal.SIGTERM):
            gevent.signal_handler(number, server.stop, 0)
        print("listening on", server.address, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
