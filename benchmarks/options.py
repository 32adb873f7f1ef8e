"""Options that every benchmark has, and the line of JSON that it ends with."""

import argparse
import json
import sys
from typing import Any


def base_parser(description: str) -> argparse.ArgumentParser:
    """A parser with --json, whose --help shows a module's docstring as it is written."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line of stdout")
    return parser


def print_json(**data: Any) -> None:
    """One JSON object on the last line of stdout, with the command that made it."""
    sys.stdout.write(json.dumps({**data, "command": sys.argv}) + "\n")
