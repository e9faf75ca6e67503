"""`python -m autograder`."""

if __name__ == "__main__":  # a worker process imports this too, and needs none of it
    from autograder.cli import main

    main()
