#!/usr/bin/env python3
"""Print a saved QEMU stream as an annotated hex vector.

usage: annotate.py [--devices] FILE

Reads sequential and mapped-ram streams of a machine with section footers and a
JSON description, as QEMU saves them by default. With --devices, only what
follows the last part of RAM is printed. The syntax of the output is described
in README.md. This reader shares no code with Berth's.
"""

import json
import struct
import sys

PAGE = 4096
BLOCK_LIST, PAGE_DATA, ZERO, END, CONTINUE, FLUSH = 4, 8, 2, 0x10, 0x20, 0x200


class Annotator:
    def __init__(self, data):
        self.data = data
        self.at = 0
        self.silent = False

    def emit(self, text, comment=""):
        if not self.silent:
            print(f"{text:<56} # {comment}" if comment else text)

    def title(self, text):
        if not self.silent:
            print(f"\n# {text}")

    def take(self, count, comment):
        raw = self.data[self.at:self.at + count]
        if len(raw) != count:
            sys.exit(f"data ends within {comment}")
        self.at += count
        if len(set(raw)) == 1 and count > 16:
            self.emit(f"{raw[0]:02x}*{count}", comment)
        elif count <= 16:
            self.emit(raw.hex(" ", 4) if count > 8 else raw.hex(), comment)
        else:
            self.emit("", f"{comment}, {count} bytes")
            self.dump(raw)
        return raw

    def dump(self, raw):
        """Rows of 32 bytes; runs of one byte as a single token."""
        row, index = "", 0
        while index < len(raw):
            run = 1
            while index + run < len(raw) and raw[index + run] == raw[index]:
                run += 1
            token = f"{raw[index]:02x}*{run}" if run > 6 else f"{raw[index]:02x}"
            index += run if run > 6 else 1
            if len(row) + len(token) > 95:
                self.emit("  " + row.rstrip())
                row = ""
            row += token + " " if "*" in token else token
        if row:
            self.emit("  " + row.rstrip())

    def number(self, count, comment):
        raw = self.data[self.at:self.at + count]
        self.take(count, f"{comment} {int.from_bytes(raw, 'big')}")
        return int.from_bytes(raw, "big")

    def name(self, comment):
        count = self.data[self.at]
        text = self.data[self.at + 1:self.at + 1 + count].decode("ascii")
        self.at += 1 + count
        self.emit(f'{count:02x} "{text}"', comment)
        return text

    def text(self, raw):
        step = 94
        for index in range(0, len(raw), step):
            self.emit("'" + raw[index:index + step].decode("ascii") + "'")

    def peek(self):
        return self.data[self.at]

    # Structures

    def stream(self):
        self.title("header")
        self.take(4, "magic QEVM")
        self.number(4, "version")
        self.mapped = False
        if self.peek() == 7:
            self.configuration()
        self.started = {}
        while True:
            kind = self.peek()
            if kind == 0:
                break
            if kind == 8:
                self.command()
            elif kind in (1, 2, 3):
                if self.ram_section(kind) == 3:
                    self.silent = False
            elif kind == 4:
                sys.exit("a device section before the end of RAM; not supported here")
            else:
                sys.exit(f"unknown element {kind:#x} at {self.at:#x}")
            if self.peek() == 4:
                break
        self.devices()

    def configuration(self):
        self.title("configuration")
        self.take(1, "configuration")
        count = self.number(4, "length of the machine name")
        self.emit(f'"{self.data[self.at:self.at + count].decode()}"', "machine name")
        self.at += count
        while self.peek() == 5:
            self.take(1, "subsection")
            name = self.name("name")
            self.number(4, "version")
            if name.endswith("capabilities"):
                for _ in range(self.number(4, "capabilities:")):
                    self.mapped |= self.name("capability") == "mapped-ram"
            elif name.endswith("uuid"):
                self.take(16, "UUID")
            else:
                self.number(4, "target page bits")

    def command(self):
        self.title("command")
        self.take(1, "command")
        self.number(2, "code")
        count = self.number(2, "payload length")
        if count:
            self.take(count, "payload")

    def ram_section(self, kind):
        self.title(f"RAM, {('start', 'part', 'end')[kind - 1]}")
        self.take(1, "section type")
        section = self.number(4, "section id")
        if kind == 1:
            self.started[section] = self.name("section name")
            self.number(4, "instance")
            self.number(4, "version")
        while True:
            raw = struct.unpack_from(">Q", self.data, self.at)[0]
            flags, offset = raw & (PAGE - 1), raw & ~(PAGE - 1)
            if flags == BLOCK_LIST:
                self.take(8, f"block list, total {offset:#x} bytes")
                self.block_list(offset)
                continue
            if flags == END:
                self.take(8, "end of section")
                break
            if flags == FLUSH:
                self.take(8, "multifd flush")
                continue
            self.take(8, f"page at {offset:#x}, flags {flags:#x}")
            if not flags & CONTINUE:
                self.name("block")
            if flags & ZERO:
                self.take(1, "fill byte")
            elif flags & PAGE_DATA:
                self.take(PAGE, "page")
            else:
                sys.exit(f"unknown flags {flags:#x} at {self.at:#x}")
        self.footer()
        return kind

    def block_list(self, remaining):
        while remaining:
            self.name("block name")
            length = self.number(8, "used length")
            remaining -= length
            if not self.mapped:
                continue
            self.title("mapped-ram header")
            self.number(4, "version")
            self.number(8, "page size")
            bitmap = self.number(8, "bitmap offset")
            pages = self.number(8, "pages offset")
            count = (length // PAGE + 63) // 64 * 8
            if bitmap != self.at:
                sys.exit("the bitmap does not follow its header")
            self.take(count, "bitmap")
            self.take(pages - self.at, "space up to the pages")
            for index in range(length // PAGE):
                self.take(PAGE, f"page {index}")

    def footer(self):
        if self.peek() == 0x7E:
            self.take(1, "footer")
            self.number(4, "section id")

    def devices(self):
        """Take the lengths from the description, which is found from its end."""
        self.silent = False
        description = self.description_start()
        devices = json.loads(self.data[description + 6:])["devices"]
        for device in devices:
            self.title(f"device section {device['name']}/{device['instance_id']}")
            self.take(1, "section type")
            self.number(4, "section id")
            if self.name("section name") != device["name"]:
                sys.exit(f"section {device['name']} expected")
            self.number(4, "instance")
            self.number(4, "version")
            self.take(body_length(device), "body")
            self.footer()
        self.title("end")
        self.take(1, "end of elements")
        self.take(1, "description")
        self.number(4, "length")
        self.text(self.data[self.at:])

    def description_start(self):
        at = self.at
        while True:
            at = self.data.index(b"\0\6", at)
            count = struct.unpack_from(">I", self.data, at + 2)[0]
            if at + 6 + count == len(self.data):
                return at
            at += 1


def body_length(structure):
    if "size" in structure:
        return structure["size"]
    return sum(f["size"] * f.get("array_len", 1) for f in structure.get("fields", [])) + sum(
        6 + len(s["vmsd_name"]) + body_length(s) for s in structure.get("subsections", [])
    )


def main():
    arguments = sys.argv[1:]
    only_devices = "--devices" in arguments
    with open([a for a in arguments if a != "--devices"][0], "rb") as file:
        annotator = Annotator(file.read())
    annotator.silent = only_devices
    annotator.stream()


if __name__ == "__main__":
    main()
