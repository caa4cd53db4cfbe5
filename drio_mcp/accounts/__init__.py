"""Accounts: people, their passwords and browser sessions, and the apps that they own."""

from drio_mcp.accounts.account_links import AccountLinkDead, AccountLinks
from drio_mcp.accounts.apps import App, Apps, CreateApp, UpdateApp
from drio_mcp.accounts.directory import COMMAND_LINE, Administrator, Directory
from drio_mcp.accounts.passwords import Passwords
from drio_mcp.accounts.people import EmailTaken, People, Person, SignInFailed
from drio_mcp.accounts.sessions import Session, Sessions
from drio_mcp.accounts.setup import SetupLinkDead, SetupLinks

__all__ = [
    "COMMAND_LINE",
    "AccountLinkDead",
    "AccountLinks",
    "Administrator",
    "App",
    "Apps",
    "CreateApp",
    "Directory",
    "EmailTaken",
    "Passwords",
    "People",
    "Person",
    "Session",
    "Sessions",
    "SetupLinkDead",
    "SetupLinks",
    "SignInFailed",
    "UpdateApp",
]
