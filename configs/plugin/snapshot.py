#!/usr/bin/env python3
"""Prints a snapshot of the WireGuard configs in a directory, for egressctl to push.

An example of a plugin service; run it whenever the directory may have changed:
    snapshot.py /srv/vpn | egressctl plugin push - --provider PROVIDER

Each file is one gateway, called COUNTRY_CITY_NAME.conf. The version is the newest change of the
directory or of a file in it: pushing the same again changes nothing, and what is gone is withdrawn.
"""

import argparse
import json
import pathlib
import sys


def gateway(file: pathlib.Path) -> dict[str, str]:
    country, city, name = file.stem.split("_", 2)
    return {
        # What the agent knows it by, from push to push. Never give one to another gateway.
        "external_id": file.stem,
        "name": name,
        "country": country,
        "city": city,
        "config": file.read_text(encoding="utf-8"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=pathlib.Path)
    directory = parser.parse_args().directory
    files = sorted(directory.glob("*_*_*.conf"))
    changes = [path.stat().st_mtime_ns // 1000 for path in [directory, *files]]
    json.dump({"version": max(changes), "gateways": [gateway(file) for file in files]}, sys.stdout)


main()
