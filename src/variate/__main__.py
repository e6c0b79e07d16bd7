"""`python -m variate` is `variate`."""

from variate.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
