"""The app as an MCP server: what was connected can be used at once (contract section 8).

A client that the app's owner allowed sees one list of tools: those of the connected MCP servers under names of their
own, and one tool for all connected APIs. A call goes through these hands, in this order:

    names      which tool of which connection is meant
    policy     whether the owner's rules and the client's consent let it be called, now or after asking
    agreement  whether the tool is still what the person agreed to
    approvals  the question to the person, the single use of the answer, the mark before the call
    calls      the call itself, with the connection's credential, and what is told when it cannot be used
"""
