"""Moving bytes with nothing around it: memory to memory, file to memory, process to process.

Python only gives the orders, one for each MiB or more; the work is memmove, preadv, send and recv.
"""

import ctypes
import os
import socket
import threading
import time

from machine import GIB, MIB, new_memory


def copy_memory(size, threads):
    """Bytes per second; from and to memory that is in hand, more of it than caches hold."""
    area = min(size, GIB // 4) // threads >> 20 << 20
    rounds = max(1, size // area // threads)
    pairs = [(new_memory(area), new_memory(area)) for _ in range(threads)]
    addresses = []
    for pair in pairs:
        for memory in pair:
            memory.write(bytes([1]) * area)
        addresses.append([ctypes.addressof(ctypes.c_char.from_buffer(memory)) for memory in pair])

    def work(number):
        source, target = addresses[number]
        for _ in range(rounds):
            for offset in range(0, area, MIB):
                ctypes.memmove(target + offset, source + offset, MIB)

    return area * rounds * threads / in_threads(work, threads)


def fill_memory(path, size, threads):
    """Bytes per second from a file into memory never touched before, in huge pages."""
    share = size // threads >> 22 << 22
    memory = new_memory(share * threads)
    view = memoryview(memory)
    file = os.open(path, os.O_RDONLY)

    def work(number):
        for offset in range(number * share, (number + 1) * share, 4 * MIB):
            os.preadv(file, [view[offset : offset + 4 * MIB]], offset)

    took = in_threads(work, threads)
    os.close(file)
    view.release()
    memory.close()
    return share * threads / took


def send(transport, size):
    """Bytes per second from one process to another, 1 MiB a call."""
    if transport == "unix":
        receiver, sender = socket.socketpair(socket.AF_UNIX)
    else:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            sender = socket.create_connection(listener.getsockname())
            receiver, _ = listener.accept()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            receiver.close()
            piece = memoryview(bytearray(os.urandom(MIB)))
            for _ in range(size // MIB):
                sender.sendall(piece)
            status = 0
        finally:
            os._exit(status)
    sender.close()
    buffer = bytearray(MIB)
    received = 0
    began = time.perf_counter()
    while count := receiver.recv_into(buffer):
        received += count
    took = time.perf_counter() - began
    receiver.close()
    if os.waitpid(child, 0)[1] != 0 or received != size // MIB * MIB:
        raise OSError(f"the sender over {transport} ended early")
    return received / took


def in_threads(work, count):
    """Seconds until all of them are done."""
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began
