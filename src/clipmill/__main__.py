"""``python -m clipmill`` is the ``clipmill`` command."""

from clipmill.cli.main import main

if __name__ == "__main__":
    main()
