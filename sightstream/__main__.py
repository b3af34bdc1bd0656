"""`python -m sightstream`: the command line without the console script."""

from sightstream.infra.cli.start import main

if __name__ == "__main__":
    main()
