# SPDX-License-Identifier: BSD-2-Clause
"""Outside of the hosts: passes frames between their agents, and is the client of one job on host0.

tests/rig/agent/frame.h says what frames are; this is its other implementation.
"""
import fcntl
import os
import selectors
import signal
import struct
import sys
import termios
import time
import tty

HEADER = struct.Struct("<IIBBBB")  # payload bytes, job, type, to, owner, stream
U32 = struct.Struct("<I")
WINDOW_BYTES = 128 * 1024
CHUNK_BYTES = 32 * 1024
OUTSIDE = 255
JOB = 1
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class HostLost(Exception):
    """A host's QEMU has ended, or its agent."""

    def __init__(self, host):
        super().__init__(host)
        self.host = host


class Ended(Exception):
    """A signal told us to end, and there is no command to tell."""

    def __init__(self, signal_number):
        super().__init__(signal_number)
        self.status = 128 + signal_number


class Link:
    def __init__(self, sock):
        sock.setblocking(False)
        self.sock = sock
        self.received = bytearray()
        self.to_send = bytearray()

    def receive(self):
        """What came, or None at the end."""
        try:
            data = self.sock.recv(1 << 18)
        except BlockingIOError:
            return b""
        except OSError:
            return None
        self.received += data
        return data or None

    def frames(self):
        at = 0
        while len(self.received) - at >= HEADER.size:
            header = HEADER.unpack_from(self.received, at)
            end = at + HEADER.size + header[0]
            if end > len(self.received):
                break
            yield header, bytes(self.received[at:end])
            at = end
        del self.received[:at]

    def send(self):
        try:
            del self.to_send[:self.sock.send(self.to_send)]
        except BlockingIOError:
            pass
        except OSError:
            pass  # the end shows in receive()


class Signals:
    """Signals of this process, as bytes to wait for; leave() makes them what they were."""

    def __init__(self):
        self.wake, wake = os.pipe()
        for end in (self.wake, wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for number in (*ENDING, signal.SIGWINCH):
            signal.signal(number, lambda *_: None)

    def take(self):
        try:
            return list(os.read(self.wake, 64))
        except BlockingIOError:
            return []


class Terminal:
    """The caller's terminal, raw while it is given to a command."""

    def __init__(self):
        self.before = None

    def take(self):
        self.before = termios.tcgetattr(0)
        tty.setraw(0, termios.TCSANOW)

    def give_back(self):
        if self.before:
            termios.tcsetattr(0, termios.TCSANOW, self.before)
            self.before = None

    @staticmethod
    def size():
        try:
            return struct.unpack("HHHH", fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8)))[:2]
        except OSError:
            return 0, 0


class Hub:
    def __init__(self, sockets, signals):
        self.links = [Link(sock) for sock in sockets]
        self.signals = signals
        self.ready = set()
        self.stopped = set()
        self.status = None  # of the command, once it has ended
        self.running = False
        self.input_open = False
        self.input_credit = WINDOW_BYTES
        self.terminal = Terminal()
        self.selector = selectors.PollSelector()  # epoll takes no regular file for input
        self.selector.register(signals.wake, selectors.EVENT_READ)
        for link in self.links:
            self.selector.register(link.sock, selectors.EVENT_READ, link)

    # What others call.

    def wait_ready(self, until, progress):
        """False if the hosts were not all ready in time; calls progress() now and then."""
        while len(self.ready) < len(self.links):
            if time.monotonic() > until:
                return False
            progress()
            for number in self.step(0.5):
                if number in ENDING:
                    raise Ended(number)
        return True

    def start(self, arguments, folder, environment, shell):
        rows, columns = Terminal.size() if shell else (0, 0)
        texts = [str(int(shell)), str(rows), str(columns), folder, str(len(arguments)), *arguments,
                 *(f"{name}={value}" for name, value in environment.items())]
        payload = b"".join(os.fsencode(text) + b"\0" for text in texts)
        self.to_job("X", payload)
        self.running = True
        if shell:
            self.terminal.take()
        if shell or not os.isatty(0):
            self.input_open = True
        else:
            self.to_job("E")

    def finish(self, timeout_s, grace_s):
        """The command's exit status, or 124 after timeout_s; told to end, it has grace_s for that."""
        until = time.monotonic() + timeout_s if timeout_s else None
        given_up = None
        try:
            while self.status is None:
                wait = None if until is None else until - time.monotonic()
                if wait is not None and wait <= 0:
                    if given_up is not None:
                        return given_up
                    say(f"the command took longer than {timeout_s:g} s (--timeout): ending it")
                    given_up = 124
                    until = time.monotonic() + grace_s
                    self.to_job("S", U32.pack(signal.SIGTERM))
                for number in self.step(wait if wait is None else max(wait, 0)):
                    if number == signal.SIGWINCH:
                        self.to_job("W", struct.pack("<II", *Terminal.size()))
                    elif given_up is not None:
                        return given_up
                    else:
                        given_up = 128 + number
                        until = time.monotonic() + grace_s
                        self.to_job("S", U32.pack(number))
            return 124 if given_up == 124 else self.status
        except BrokenPipeError:
            return 128 + signal.SIGPIPE
        finally:
            self.terminal.give_back()

    def stop(self, timeout_s):
        """Ends all on all hosts; whether they could still write back what they had."""
        self.input_open = False
        for host in range(len(self.links)):
            self.send(b"", "Z", to=host)
        until = time.monotonic() + timeout_s
        try:
            while len(self.stopped) < len(self.links) and time.monotonic() < until:
                self.step(max(until - time.monotonic(), 0))
        except HostLost:
            pass
        return len(self.stopped) == len(self.links)

    # Frames.

    def send(self, payload, kind, to, stream=0):
        header = HEADER.pack(len(payload), JOB, ord(kind), to, OUTSIDE, stream)
        self.links[to].to_send += header + payload

    def to_job(self, kind, payload=b"", stream=0):
        self.send(payload, kind, 0, stream)

    def handle(self, header, payload):
        _, _, kind, _, owner, stream = header
        kind = chr(kind)
        if kind == "R":
            self.ready.add(owner)
        elif kind == "Z":
            self.stopped.add(owner)
        elif kind == "Q":
            self.status = U32.unpack_from(payload)[0]
        elif kind == "C":
            self.input_credit += U32.unpack_from(payload)[0]
        elif kind == "D":
            if self.status is None and not self.stopped:
                write_all(stream, payload)
            self.to_job("C", U32.pack(len(payload)), stream)

    def route(self, link):
        if link.receive() is None:
            raise HostLost(self.links.index(link))
        for header, frame in link.frames():
            to = header[3]
            if to == OUTSIDE:
                self.handle(header, frame[HEADER.size:])
            elif to < len(self.links):
                self.links[to].to_send += frame

    def read_input(self):
        try:
            data = os.read(0, min(CHUNK_BYTES, self.input_credit))
        except OSError:
            data = b""
        if data:
            self.input_credit -= len(data)
            self.to_job("D", data)
        else:
            self.input_open = False
            self.to_job("E")

    def watch(self):
        for link in self.links:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if link.to_send else 0)
            self.selector.modify(link.sock, events, link)
        wanted = self.input_open and self.input_credit > 0
        if wanted and 0 not in self.selector.get_map():
            self.selector.register(0, selectors.EVENT_READ, "input")
        elif not wanted and 0 in self.selector.get_map():
            self.selector.unregister(0)

    def step(self, timeout_s):
        """Waits for anything, handles it, and returns the signals that came."""
        self.watch()
        for key, events in self.selector.select(timeout_s):
            if key.data == "input":
                self.read_input()
            elif isinstance(key.data, Link):
                if events & selectors.EVENT_WRITE:
                    key.data.send()
                if events & selectors.EVENT_READ:
                    self.route(key.data)
        return self.signals.take()


def write_all(fd, data):
    while data:
        try:
            data = data[os.write(fd, data):]
        except BlockingIOError:
            time.sleep(0.01)  # the caller made its stream non-blocking


def say(text):
    print(f"rig: {text}", file=sys.stderr, flush=True)
