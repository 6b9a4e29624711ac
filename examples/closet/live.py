#!/usr/bin/env python3
"""A WebSocket server (RFC 6455) that says back what it is told, out of Python's standard library alone.

It stands in for whatever pushes to browsers in a real closet. Usage: live.py PORT
"""

import asyncio
import base64
import hashlib
import struct
import sys

# What makes an answer to a handshake one (section 1.3).
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MAX_MESSAGE_BYTES = 65536
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


async def handshake(reader, writer):
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    fields = dict(line.split(": ", 1) for line in head[1:] if ": " in line)
    fields = {name.lower(): value for name, value in fields.items()}
    if "sec-websocket-key" not in fields:
        writer.write(b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\nContent-Length: 0\r\n\r\n")
        return False
    accept = base64.b64encode(hashlib.sha1(fields["sec-websocket-key"].encode() + MAGIC).digest())
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
    return True


async def frame(reader):
    """One frame of a client: opcode and payload, unmasked. Messages in pieces are not taken."""
    first, second = await reader.readexactly(2)
    length = second & 0x7F
    if length == 126:
        (length,) = struct.unpack(">H", await reader.readexactly(2))
    elif length == 127:
        (length,) = struct.unpack(">Q", await reader.readexactly(8))
    if length > MAX_MESSAGE_BYTES or not first & 0x80 or not second & 0x80:
        return CLOSE, struct.pack(">H", 1009)
    mask = await reader.readexactly(4)
    payload = await reader.readexactly(length)
    return first & 0x0F, bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


def write_frame(writer, opcode, payload):
    length = len(payload)
    head = bytes([0x80 | opcode])
    if length < 126:
        head += bytes([length])
    else:
        head += bytes([126]) + struct.pack(">H", length) if length < 65536 else bytes([127]) + struct.pack(">Q", length)
    writer.write(head + payload)


async def serve(reader, writer):
    try:
        if await handshake(reader, writer):
            while True:
                opcode, payload = await frame(reader)
                if opcode == PING:
                    write_frame(writer, PONG, payload)
                elif opcode != PONG:
                    write_frame(writer, opcode, payload)
                await writer.drain()
                if opcode == CLOSE:
                    break
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        pass
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), limit=16384)
    async with server:
        await server.serve_forever()


asyncio.run(main())
