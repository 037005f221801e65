"""How the project's commands are typed here, for sentences that tell somebody to use one."""

import sys
from pathlib import Path


def add_an_operator() -> str:
    """The command that lets the first person into the console.

    `.venv/bin/flask …` where the server runs from an environment in the folder that it was started
    in, as after `make run`; elsewhere `flask …`: no page tells where a server's files are.
    """
    program = Path(sys.executable).with_name("flask")
    here = Path.cwd()
    called = program.relative_to(here) if program.is_relative_to(here) else "flask"
    return f"{called} operators add your-name"
