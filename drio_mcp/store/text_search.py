"""Full-text search in memory: SQLite's FTS5 with its BM25 ranking, whichever database keeps everything else."""

import re
import sqlite3
from collections.abc import Iterable, Sequence
from threading import Lock

WORD = re.compile(r"[^\W_]+")
BORDER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|_")
"""Where names are joined of words: `listOpenIssues`, `list_open_issues`."""
MOST_WORDS = 32
TOKENIZER = "porter unicode61 remove_diacritics 2"


class TextSearch:
    """An index over documents of the same fields, made once. Its methods may be called from any thread.

    `weights` says how much a word counts in each field.
    """

    def __init__(self, weights: Sequence[float], documents: Iterable[Sequence[str]]) -> None:
        columns = [f"field{number}" for number in range(len(weights))]
        self._lock = Lock()
        self._db = sqlite3.connect(":memory:", check_same_thread=False)
        self._db.execute(f"CREATE VIRTUAL TABLE documents USING fts5({', '.join(columns)}, tokenize='{TOKENIZER}')")
        marks = ", ".join("?" for _ in columns)
        self._db.executemany(
            f"INSERT INTO documents VALUES ({marks})",  # noqa: S608
            ([BORDER.sub(" ", field) for field in each] for each in documents),
        )
        self._ranking = f"bm25(documents, {', '.join(str(weight) for weight in weights)})"

    def find(self, query: str, most: int) -> list[int]:
        """The numbers of the documents that hold any word of the query, best first."""
        words = list(dict.fromkeys(word.lower() for word in WORD.findall(BORDER.sub(" ", query))))[:MOST_WORDS]
        if not words:
            return []
        wanted = " OR ".join(f'"{word}"' for word in words)
        with self._lock:
            rows = self._db.execute(
                f"SELECT rowid - 1 FROM documents WHERE documents MATCH ? ORDER BY {self._ranking}, rowid LIMIT ?",  # noqa: S608
                (wanted, most),
            )
            return [number for (number,) in rows]
