#!/usr/bin/env python3
"""Receives reports of live connections, and prints each as a line of JSON.

An example of what a control plane has to check; it keeps nothing on disk:
    receiver.py --listen 127.0.0.1:9000 --key-file report.key

A message is the whole truth of one host. Take it in place of all that is known of that host: what it
does not name is not in use there. A host that has been silent for several heartbeats is down or cut
off; its tunnels may be up all the same.
"""

import argparse
import hashlib
import hmac
import http.server
import json
import pathlib
import time

BODY_MAX = 16 << 20
# Seconds that clocks may be apart. Within them a recorded message is refused by its sequence.
AGE_MAX = 300


class Receiver(http.server.BaseHTTPRequestHandler):
    key = b""
    # The highest sequence of each host. Keep it with the counts, in one transaction.
    newest: dict[str, int] = {}
    timeout = 10

    def do_POST(self):
        length = int(self.headers.get("content-length", "0"))
        if length > BODY_MAX:
            return self.send_error(413)
        status = self.take(self.rfile.read(length))
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def take(self, body):
        timestamp = self.headers.get("x-egress-timestamp", "")
        signature = self.headers.get("x-egress-signature", "")
        signed = hmac.new(self.key, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        # In constant time, and before anything of the message is believed.
        if not hmac.compare_digest(signature.encode(), f"v1={signed}".encode()):
            return 401
        if abs(time.time() - int(timestamp)) > AGE_MAX:
            return 401
        report = json.loads(body)
        if report["format"] != 1:
            return 422
        # A recorded message, or one that another has overtaken: it was heard, and says nothing new.
        if report["sequence"] > self.newest.get(report["host_id"], 0):
            self.newest[report["host_id"]] = report["sequence"]
            print(json.dumps(report), flush=True)
        return 204

    def log_message(self, *_):
        pass


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--listen", default="127.0.0.1:9000", metavar="ADDRESS:PORT")
    arguments.add_argument("--key-file", required=True, type=pathlib.Path)
    arguments = arguments.parse_args()
    # As the agent does: without line ends behind the key.
    Receiver.key = arguments.key_file.read_bytes().rstrip()
    address, _, port = arguments.listen.rpartition(":")
    http.server.ThreadingHTTPServer((address, int(port)), Receiver).serve_forever()


if __name__ == "__main__":
    main()
