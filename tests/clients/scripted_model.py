"""A model on loopback that does what its prompt says, behind the APIs that Claude Code and Codex talk to.

A prompt `CALL {"name": …, "arguments": …}` is answered with that tool call, and whatever the tool answered with a word,
so that a client is driven through its own ways while every token is known. What the model was shown is noted: the
tools, and what each call came to.
"""

import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CALL = "CALL "
DONE = "Done."
Event = tuple[str, dict[str, Any]]


@dataclass
class ScriptedModel:
    """Where it is, and what it was shown."""

    url: str = ""
    tools: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The definitions of the newest request, by name."""
    results: list[dict[str, Any]] = field(default_factory=list)
    """What tools answered, as the client told it."""
    requests: list[tuple[str, Any]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _told: set[str] = field(default_factory=set)

    def messages(self, asked: dict[str, Any]) -> tuple[dict[str, Any], list[Event]]:
        """Anthropic's Messages API: the whole answer, and the same as events."""
        last = [each for each in asked["messages"] if each["role"] == "user"][-1]["content"]
        blocks = [{"type": "text", "text": last}] if isinstance(last, str) else last
        if len(asked.get("tools", [])) > 0:
            self.tools = {tool["name"]: tool for tool in asked["tools"]}
        for block in blocks:
            if block["type"] == "tool_result":
                self._take(block["tool_use_id"], block)
        wanted = _wanted(block.get("text", "") for block in blocks if block["type"] == "text")
        number = next(self._numbers)
        if wanted is None or "tools" not in asked:
            content: dict[str, Any] = {"type": "text", "text": DONE}
            start, delta = {"type": "text", "text": ""}, {"type": "text_delta", "text": DONE}
        else:
            content = {"type": "tool_use", "id": f"toolu_{number}", "name": wanted[0], "input": wanted[1]}
            start, delta = content | {"input": {}}, _json_delta(wanted[1])
        reason = "end_turn" if content["type"] == "text" else "tool_use"
        usage = {"input_tokens": 1, "output_tokens": 1}
        message = {
            "id": f"msg_{number}",
            "type": "message",
            "role": "assistant",
            "model": asked.get("model", "scripted"),
            "content": [content],
            "stop_reason": reason,
            "stop_sequence": None,
            "usage": usage,
        }
        events: list[dict[str, Any]] = [
            {"type": "message_start", "message": message | {"content": [], "stop_reason": None}},
            {"type": "content_block_start", "index": 0, "content_block": start},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage},
            {"type": "message_stop"},
        ]
        return message, [(event["type"], event) for event in events]

    def responses(self, asked: dict[str, Any]) -> tuple[dict[str, Any], list[Event]]:
        """OpenAI's Responses API: the whole answer, and the same as events."""
        self.tools = dict(_functions(asked.get("tools", [])))
        items = asked["input"]
        for item in items:
            if item.get("type") == "function_call_output":
                self._take(item["call_id"], item)
        wanted = None
        if items[-1].get("role") == "user":
            wanted = _wanted(part.get("text", "") for part in items[-1]["content"])
        number = next(self._numbers)
        if wanted is None:
            parts = [{"type": "output_text", "text": DONE, "annotations": []}]
            item = {"type": "message", "id": f"m_{number}", "role": "assistant", "content": parts}
        else:
            named = self.tools[wanted[0]]["called_as"] if wanted[0] in self.tools else {"name": wanted[0]}
            arguments = json.dumps(wanted[1])
            item = {"type": "function_call", "call_id": f"call_{number}", "arguments": arguments, **named}
        usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
        response = {"id": f"resp_{number}", "object": "response", "status": "completed", "output": [item]}
        events: list[dict[str, Any]] = [
            {"type": "response.created", "response": response | {"status": "in_progress", "output": []}},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": response | {"usage": usage}},
        ]
        return response, [(event["type"], event) for event in events]

    def _take(self, call_id: str, result: dict[str, Any]) -> None:
        """Note a result once: clients repeat the whole conversation with each request."""
        if call_id not in self._told:
            self._told.add(call_id)
            self.results.append(result)


@contextmanager
def scripted_model() -> Iterator[ScriptedModel]:
    """The model, while the block lasts."""
    model = ScriptedModel()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            asked = json.loads(body or b"{}")
            path = self.path.partition("?")[0]
            model.requests.append((path, asked))
            if path == "/v1/messages":
                self._answer(asked, *model.messages(asked))
            elif path == "/v1/responses":
                self._answer(asked, *model.responses(asked))
            else:
                self._send(404, "application/json", b'{"error":{"type":"not_found_error","message":"No"}}')

        def do_GET(self) -> None:
            self._send(404, "application/json", b"{}")

        def do_HEAD(self) -> None:
            self._send(200, "text/plain", b"")

        def _answer(self, asked: dict[str, Any], whole: dict[str, Any], events: list[Event]) -> None:
            if asked.get("stream"):
                text = "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events)
                self._send(200, "text/event-stream", text.encode())
            else:
                self._send(200, "application/json", json.dumps(whole).encode())

        def _send(self, status: int, media_type: str, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    model.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield model
    finally:
        server.shutdown()
        server.server_close()


def _wanted(texts: Iterator[str]) -> tuple[str, dict[str, Any]] | None:
    """The call that a prompt asks for."""
    for text in texts:
        if text.startswith(CALL):
            call = json.loads(text.removeprefix(CALL))
            return call["name"], call["arguments"]
    return None


def _json_delta(arguments: dict[str, Any]) -> dict[str, Any]:
    return {"type": "input_json_delta", "partial_json": json.dumps(arguments)}


def _functions(tools: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Functions, those of namespaces by the name that both make; `called_as` is how a call names it."""
    for tool in tools:
        if tool["type"] == "function":
            yield tool["name"], tool | {"called_as": {"name": tool["name"]}}
        elif tool["type"] == "namespace":
            for inner in tool["tools"]:
                called_as = {"name": inner["name"], "namespace": tool["name"]}
                yield tool["name"] + inner["name"], inner | {"called_as": called_as}
