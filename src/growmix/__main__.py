"""``python -m growmix``: the same as ``growmix``."""

from growmix.cli.app import main

if __name__ == "__main__":
    main()
