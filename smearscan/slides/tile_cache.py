"""The last decoded tiles of a slide, shared by the threads that read it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

import numpy as np
from numpy.typing import NDArray

LARGE_PX = 8_000_000  # from here on two threads may not decode the same piece at once: it costs memory


class TileCache:
    """Keeps the tiles used last, up to a number of bytes; the newest one stays however large it is."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._large_lock = threading.Lock()
        self._tiles: OrderedDict[Hashable, NDArray[np.uint8]] = OrderedDict()
        self._bytes = 0

    def get_or_make(self, key: Hashable, size_px: int, make: Callable[[], NDArray[np.uint8]]) -> NDArray[np.uint8]:
        """Return the tile under `key`, made if it is not there."""
        found = self._find(key)
        if found is not None:
            return found
        if size_px < LARGE_PX:
            return self._keep(key, make())
        with self._large_lock:
            found = self._find(key)
            return found if found is not None else self._keep(key, make())

    def clear(self) -> None:
        with self._lock:
            self._tiles.clear()
            self._bytes = 0

    def _find(self, key: Hashable) -> NDArray[np.uint8] | None:
        with self._lock:
            found = self._tiles.get(key)
            if found is not None:
                self._tiles.move_to_end(key)
            return found

    def _keep(self, key: Hashable, tile: NDArray[np.uint8]) -> NDArray[np.uint8]:
        with self._lock:
            replaced = self._tiles.pop(key, None)
            self._bytes += tile.nbytes - (replaced.nbytes if replaced is not None else 0)
            self._tiles[key] = tile
            while self._bytes > self._limit_bytes and len(self._tiles) > 1:
                self._bytes -= self._tiles.popitem(last=False)[1].nbytes
        return tile
