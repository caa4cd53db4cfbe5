"""`python -m drio_mcp`, which is the command `drio-mcp`."""

from drio_mcp.cli import main

if __name__ == "__main__":
    main()
