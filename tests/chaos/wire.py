"""An agent's end of the protocol, by hand: it can say anything. Frames and messages by their field numbers (proto/*.proto)."""
import ctypes
import os
import socket
import struct

PING, PONG, HELLO, HELLO_OK, REQUEST, REPLY, DATA, ACK, GOAWAY = 8, 9, 1, 2, 3, 4, 6, 7, 10
FLEET_CONTROLLER = 2
ED25519 = 1087

crypto = ctypes.CDLL("libcrypto.so.3")
for fn in ("EVP_PKEY_new_raw_private_key", "EVP_MD_CTX_new"):
    getattr(crypto, fn).restype = ctypes.c_void_p
VOID, SIZE = ctypes.c_void_p, ctypes.c_size_t
crypto.EVP_PKEY_new_raw_private_key.argtypes = [ctypes.c_int, VOID, ctypes.c_char_p, SIZE]
crypto.EVP_PKEY_get_raw_public_key.argtypes = [VOID, ctypes.c_char_p, ctypes.POINTER(SIZE)]
crypto.EVP_DigestSignInit.argtypes = [VOID] * 5
crypto.EVP_DigestSign.argtypes = [VOID, ctypes.c_char_p, ctypes.POINTER(SIZE), ctypes.c_char_p, SIZE]
crypto.EVP_MD_CTX_free.argtypes = [VOID]


class Key:
    def __init__(self, seed):
        self.key = crypto.EVP_PKEY_new_raw_private_key(ED25519, None, seed, 32)
        buf, n = ctypes.create_string_buffer(32), SIZE(32)
        crypto.EVP_PKEY_get_raw_public_key(self.key, buf, ctypes.byref(n))
        self.public = buf.raw

    def sign(self, text):
        ctx, buf, n = crypto.EVP_MD_CTX_new(), ctypes.create_string_buffer(64), SIZE(64)
        crypto.EVP_DigestSignInit(ctx, None, None, None, self.key)
        crypto.EVP_DigestSign(ctx, buf, ctypes.byref(n), text, len(text))
        crypto.EVP_MD_CTX_free(ctx)
        return buf.raw


# ---- Messages ----

def varint(v):
    out = b""
    while v > 127:
        out, v = out + bytes([v & 127 | 128]), v >> 7
    return out + bytes([v])


def number(field, v):
    return varint(field << 3) + varint(v) if v else b""


def signed(field, v):
    return number(field, (v << 1) ^ (v >> 63))


def octets(field, data):
    data = data.encode() if isinstance(data, str) else data
    return varint(field << 3 | 2) + varint(len(data)) + data


def fields(data):
    """{number: last value}"""
    out, at = {}, 0
    while at < len(data):
        tag, at = read_varint(data, at)
        value, at = read_varint(data, at)
        if tag & 7 == 2:
            value, at = data[at:at + value], at + value
        out[tag >> 3] = value
    return out


def read_varint(data, at):
    value = shift = 0
    while True:
        octet = data[at]
        value |= (octet & 127) << shift
        at, shift = at + 1, shift + 7
        if octet < 128:
            return value, at


def frame(kind, *parts):
    body = number(1, kind) + b"".join(parts)
    return struct.pack(">I", len(body)) + body


def summary(pair_id, start_ns, seq, names, sent=10):
    """Nothing came back: it has no delays."""
    mesh, class_name, target = names
    return (number(1, pair_id % (1 << 64)) + number(3, 1) + signed(4, start_ns) + signed(5, start_ns + 10**9) + number(6, seq) + number(7, 2) +
            number(10, sent) + number(14, sent) + octets(80, mesh) + octets(81, class_name) + octets(82, target))


def batch(spool_id, first_seq, summaries=(), gap=b""):
    return octets(1, spool_id) + number(2, first_seq) + b"".join(octets(3, s) for s in summaries) + (octets(4, gap) if gap else b"")


class Agent:
    """sock: connected. Blocking, with the socket's timeout."""

    def __init__(self, name, rng):
        self.name, self.key = name, Key(rng.randbytes(32))
        self.boot, self.spool = rng.randbytes(16), rng.randbytes(16)
        self.sock = None

    def connect(self, sock, address):
        self.sock, self.rest, self.dead = sock, b"", None
        sock.settimeout(20)
        sock.connect(address)

    def hello(self, name=None, version=1):
        """HELLO_OK's fields, or GOAWAY's; None: closed."""
        got = self.take()
        if not got or got[1] != HELLO:
            return got
        nonce, who = fields(got[9])[3], name or self.name
        text = b"twampmesh-hello-v1\0" + nonce
        for part in (who.encode(), self.boot, self.spool):
            text += struct.pack(">I", len(part)) + part
        self.send(frame(HELLO, octets(9, number(1, version) + number(2, 1) + octets(3, who) + octets(4, "chaos") + octets(5, self.boot) +
                                      octets(6, self.spool) + octets(7, self.key.public) + octets(8, self.key.sign(text)))))
        return self.take()

    def enrol(self, address):
        self.send(frame(REQUEST, number(2, 1), number(3, FLEET_CONTROLLER * 256), number(6, 10000),
                        octets(9, octets(2, address) + number(3, 862))))

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError as e:
            self.dead = e

    def take(self, answer_pings=True):
        """The next frame's fields; None when the other end has closed, or nothing comes."""
        while True:
            while len(self.rest) < 4 or len(self.rest) < 4 + struct.unpack(">I", self.rest[:4])[0]:
                try:
                    more = self.sock.recv(65536)
                except OSError as e:
                    self.dead = e
                    return None
                if not more:
                    self.dead = "closed"
                    return None
                self.rest += more
            n = struct.unpack(">I", self.rest[:4])[0]
            got, self.rest = fields(self.rest[4:4 + n]), self.rest[4 + n:]
            if got.get(1) != PING or not answer_pings:
                return got
            self.send(frame(PONG, number(2, got.get(2, 0))))

    def until(self, kind, most=200):
        for _ in range(most):
            got = self.take()
            if not got or got[1] in (kind, GOAWAY):
                return got
        return None

    def close(self):
        if self.sock:
            self.sock.close()
