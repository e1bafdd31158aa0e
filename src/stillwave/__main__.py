"""Run the command line: `python -m stillwave`."""

from stillwave.cli import main

if __name__ == "__main__":
    main()
