#!/usr/bin/env python3
"""Runs a program that may not use userfaultfd(2), as container runtimes often have it.

without_userfaultfd.py PROGRAM [ARGUMENT...]
"""

import ctypes
import errno
import os
import platform
import struct
import sys

PR_SET_NO_NEW_PRIVS = 38
PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
SECCOMP_RET_ALLOW = 0x7FFF0000
SECCOMP_RET_ERRNO = 0x00050000
BPF_LOAD_WORD = 0x20  # BPF_LD | BPF_W | BPF_ABS
BPF_JUMP_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
BPF_RETURN = 0x06  # BPF_RET | BPF_K
USERFAULTFD = {"x86_64": 323, "aarch64": 282}


class Program(ctypes.Structure):
    """struct sock_fprog of linux/filter.h."""

    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def main(arguments):
    number = USERFAULTFD[platform.machine()]
    code = b"".join(
        struct.pack("=HBBI", *instruction)
        for instruction in (
            (BPF_LOAD_WORD, 0, 0, 0),  # the number of the system call
            (BPF_JUMP_EQUAL, 0, 1, number),
            (BPF_RETURN, 0, 0, SECCOMP_RET_ERRNO | errno.EPERM),
            (BPF_RETURN, 0, 0, SECCOMP_RET_ALLOW),
        )
    )
    program = Program(len(code) // 8, code)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0
    ):
        sys.exit(f"cannot forbid userfaultfd: {os.strerror(ctypes.get_errno())}")
    os.execv(arguments[0], arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
