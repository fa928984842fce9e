"""Small files of the daemon's state: replaced as a whole, for their owner's eyes only."""

import os
import tempfile
from pathlib import Path

from app.interruption import gone_afterwards


def write_private(path: Path, text: str) -> None:
    """Put `text` in the place of the file, in one step; its folder is made.

    Whoever reads sees the old text or the new one. Raises OSError.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with gone_afterwards(Path(name)) as fresh:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
