#!/usr/bin/env python3
"""Keeps a virtual machine's free memory in hand while the suite runs; ends when its input ends.

A virtual machine gives free memory back to its host, often within a second. A page that it gave back
costs a fault of the host's when it is next used, many times what copying into it costs. That hits
whichever program happens to come first, and makes every time a matter of luck. So this process holds
what is free, touched, and lets go of it as fast as others take it: little is free at any moment, and
all of it was in use a moment ago. It takes nothing that others hold, the page cache's pages included.
"""

import select
import sys

from machine import GIB, MIB, free_memory, new_memory

FREE = 768 * MIB  # what others find free; far more than they take between two looks
PIECE = 64 * MIB
ENOUGH = FREE + 4 * PIECE  # with no more than this free, it is at rest
MOST = 32 * GIB  # a larger machine takes too long to fill, and has to do with less
INTERVAL = 0.004  # seconds between two looks
MADV_POPULATE_WRITE = 23


def main():
    pieces = []
    while not select.select([sys.stdin], [], [], INTERVAL)[0]:
        free = free_memory()
        while free < FREE and pieces:
            pieces.pop().close()
            free += PIECE
        while free > FREE + 2 * PIECE and len(pieces) * PIECE < MOST:
            piece = new_memory(PIECE)
            piece.madvise(MADV_POPULATE_WRITE)
            pieces.append(piece)
            free = free_memory()


if __name__ == "__main__":
    main()
