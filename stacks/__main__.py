"""What `pulumi up` runs: the program that the stack's setting `program` names.

pulumi config set program demo
"""

import sys
from pathlib import Path

import pulumi

# Pulumi runs this folder as a program; the programs are imported by their full names.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from stacks.demo import demo_program

PROGRAMS = {"demo": demo_program}


def run_program() -> None:
    """Declare the resources of the stack's program.

    Raises:
        pulumi.RunError: There is no such program.
    """
    name = pulumi.Config().get("program") or "demo"
    if name not in PROGRAMS:
        known = ", ".join(PROGRAMS)
        raise pulumi.RunError(f"there is no program '{name}': set the setting program to {known}")
    PROGRAMS[name]()


run_program()
