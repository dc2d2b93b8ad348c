"""`python -m isthmus` is `isthmus`; `torchrun -m isthmus` starts it in several processes."""

from isthmus.cli import main

if __name__ == "__main__":
    main()
