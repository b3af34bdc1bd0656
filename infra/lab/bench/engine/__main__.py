"""`python -m sightstream.infra.lab.bench.engine`: the command without the console script."""

from sightstream.infra.cli.bench import main

if __name__ == "__main__":
    main()
