"""The commands of ``visitor-sync``."""


def main() -> None:
    raise NotImplementedError
