"""`python -m infra.bench.engine`: the command without the console script."""

from infra.cli.bench import main

if __name__ == "__main__":
    main()
