"""The `stillwave` command, also `python -m stillwave`."""

import sys


def main() -> None:
    """Run the command line. Ctrl-C while its modules are imported prints one sentence, and exits with 130."""
    try:
        from stillwave.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("error: interrupted before any work\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
