"""`python -m semblance`: the command, where its script is not on the path."""

from semblance.app.cli import main

if __name__ == "__main__":
    main()
