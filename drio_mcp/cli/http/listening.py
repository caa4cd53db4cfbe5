"""The sockets that the server listens on, taken before anything else is done."""

import socket


def listen(host: str, port: int, *, host_setting: str, port_setting: str) -> socket.socket:
    """A listening socket. Raises `StartupError` that names the setting when the address or the port cannot be had."""
    from drio_mcp.errors import StartupError

    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise StartupError(
            f"{host_setting} is wrong: it names no address of this computer ({error.strerror}); "
            "a right value is 127.0.0.1"
        ) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise StartupError(
            f"Port {port} on {host} cannot be used ({error.strerror}): "
            f"stop the program that has it, or name another in {port_setting}"
        ) from error
    listener.setblocking(False)
    return listener
