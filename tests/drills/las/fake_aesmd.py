#!/usr/bin/python3
"""Speaks aesmd's protocol (intel/linux-sgx, messages.proto) on a unix socket, written from the field numbers alone.

    fake_aesmd.py SOCKET MODE

MODE: normal; restarted (the first quote is refused with error 42 until quoting was initialised again); refusing (error 1);
short (half an answer, then the end); huge (an absurd length); other (answers another request); silent.
The quote is "QUOTE" + the report.
"""
import os
import socket
import sys
import time


def number(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7f | 0x80])
        value >>= 7
    return out + bytes([value])


def take_number(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7f) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def field(index, value):
    if isinstance(value, int):
        return number(index << 3) + number(value)
    return number(index << 3 | 2) + number(len(value)) + value


def fields(data):
    found, at = {}, 0
    while at < len(data):
        key, at = take_number(data, at)
        value, at = take_number(data, at)
        if key & 7 == 2:
            value, at = data[at:at + value], at + value
        found[key >> 3] = value
    return found


class Daemon:
    def __init__(self, mode):
        self.mode, self.initialised = mode, mode != "restarted"

    def answer(self, request):
        (kind, inner), = fields(request).items()
        inner = fields(inner)
        assert len(inner[2 if kind == 17 else 1]) == 256, "the attestation key's id has 256 bytes"
        if self.mode == "refusing":
            return field(kind, field(1, 1))
        if self.mode == "other":
            return field(19, field(1, 0))
        if kind == 15:
            wants_id = inner[3] == 1
            self.initialised = self.initialised or wants_id
            assert not wants_id or inner[4] == 32, "the size that was asked for"
            return field(15, field(1, 0) + field(2, b"T" * 512) + field(3, 32) + (field(4, b"K" * 32) if wants_id else b""))
        if not self.initialised:
            return field(kind, field(1, 42))
        if kind == 16:
            return field(16, field(1, 0) + field(2, 4600))
        assert kind == 17 and inner[4] == 4600
        return field(17, field(1, 0) + field(2, b"QUOTE" + inner[1]))

    def serve(self, connection):
        size = int.from_bytes(connection.recv(4, socket.MSG_WAITALL), "little")
        if size == 0:
            return  # somebody who only looked whether we are here
        response = self.answer(connection.recv(size, socket.MSG_WAITALL))
        if self.mode == "silent":
            time.sleep(1000)
        if self.mode == "huge":
            connection.sendall(b"\xff\xff\xff\x7f")
        connection.sendall(len(response).to_bytes(4, "little") + response[:len(response) // (2 if self.mode == "short" else 1)])


if __name__ == "__main__":
    daemon = Daemon(sys.argv[2])
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(sys.argv[1])
        os.chmod(sys.argv[1], 0o666)
        listener.listen()
        print("listening", flush=True)
        while True:
            with listener.accept()[0] as accepted:
                try:
                    daemon.serve(accepted)
                except ConnectionError:
                    pass
