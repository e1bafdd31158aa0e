"""`python -m stillwave` is the same as `stillwave`."""

from stillwave.cli import main

if __name__ == "__main__":
    main()
