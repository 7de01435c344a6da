"""Call what is not there yet: ``python client.py [ADDRESS]``."""

import sys

import geopb as pb


def main(address="127.0.0.1:8800"):
    with pb.PBClientFactory() as client:
        library = client.connect(address).getRootObject()

        # Nothing is waited for: all of these leave together, with our greeting.
        shelf = library.callRemote("shelf", "poetry")
        book = shelf.callRemote("book", "Odyssey")
        pages = [book.callRemote("page", number) for number in (1, 2)]
        lent = library.callRemote("lend", book, "ada")
        missing = shelf.callRemote("book", "Aeneid").callRemote("page", 1)

        for page in pages:
            print(page.get())
        print(lent.get())
        try:
            missing.get()
        except pb.Error as error:
            print("no page:", error)


if __name__ == "__main__":
    main(*sys.argv[1:])
