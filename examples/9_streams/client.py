"""Listen for a while, then send a recording: ``python client.py [ADDRESS]``."""

import hashlib
import sys
import tempfile

import geopb as pb


def main(address="127.0.0.1:8800"):
    with pb.connect(address) as client:
        studio = client.getRootObject().get()

        melody = studio.callRemote("play", "do", "re", "mi").get()
        with melody:
            for number, note in enumerate(melody, 1):
                print(number, note)
                if number == 6:
                    break

        with tempfile.NamedTemporaryFile() as recording:
            recording.write(b"la" * 1_000_000)
            recording.flush()
            file = open(recording.name, "rb")  # noqa: SIM115 (the stream closes it)
            promise = studio.callRemote("keep", "la.wav", pb.stream_file(file))
            digest = promise.get()
        print(
            "kept as it was:", digest == hashlib.sha256(b"la" * 1_000_000).hexdigest()
        )
        print("closed:", file.closed)


if __name__ == "__main__":
    main(*sys.argv[1:])
