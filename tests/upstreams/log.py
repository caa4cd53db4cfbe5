"""What an upstream received, for assertions."""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Received:
    """One request: `endpoint` is the part's name for it (`token`, `register`, `probe` …), `form` its decoded body."""

    endpoint: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    form: Mapping[str, str]
    body: bytes


@dataclass
class Log:
    """Requests in the order of their arrival, and how many were under way at once."""

    entries: list[Received] = field(default_factory=list)
    most_at_once: Counter[str] = field(default_factory=Counter)
    _under_way: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, endpoint: str) -> list[Received]:
        return [entry for entry in self.entries if entry.endpoint == endpoint]

    def count(self, endpoint: str) -> int:
        return len(self.of(endpoint))

    @contextmanager
    def receiving(self, entry: Received) -> Iterator[None]:
        with self._lock:
            self.entries.append(entry)
            self._under_way[entry.endpoint] += 1
            self.most_at_once[entry.endpoint] = max(self.most_at_once[entry.endpoint], self._under_way[entry.endpoint])
        try:
            yield
        finally:
            with self._lock:
                self._under_way[entry.endpoint] -= 1
