#!/usr/bin/env python3
"""Many clients of heed serve at once, good ones and bad ones, for as long as is asked.

usage: python3 tests/serve_load.py [MODEL.heed] [--program build/heed] [--minutes 1] [--clients 16] [--slots 8]

Starts `heed serve`, of the model in models/shakespeare unless another is named, and asks for each of some texts alone.
Then clients ask for them at random, whole and as streams, and compare. Others read slowly or not at all, leave in the
midst, send garbage, halves of requests, or bodies of a gigabyte. In the end every text must have been the same as
alone, no request of a good client may have failed otherwise than by 429, the server must still answer, and its memory
must be about what it was before, and no more than after the first minute, or a third of the time where that is less.
Python's standard library is enough.
"""

import argparse
import collections
import http.client
import json
import os
import pathlib
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROMPTS = ["ROMEO:", "Once upon a time", "The king is", "Lily and Tom went to the park.", "First Citizen:\nBefore we",
           "She said", "There was a tree. It was very", "In the morning the sun", "O,", "What say you, my lord?",
           "He wanted to", "JULIET:\nGood night", "War", "One day, a big"]


def requests(max_tokens):
    """Texts of many lengths, greedy and drawn, each with a seed of its own."""
    for number in range(60):
        yield {"prompt": PROMPTS[number % len(PROMPTS)], "seed": number, "temperature": [0, 0.7, 1][number % 3],
               "max_tokens": 1 + (number * 37) % max_tokens, "repetition_penalty": 1.1 if number % 5 == 0 else 1.0}


HEAD = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


class Load:
    def __init__(self, port, texts):
        self.port = port
        self.texts = texts
        self.wrong = []
        self.count = collections.Counter()
        self.lock = threading.Lock()
        self.ended = threading.Event()

    def note(self, what, wrong=None):
        with self.lock:
            self.count[what] += 1
            if wrong:
                self.wrong.append(wrong)

    def post(self, body, timeout=300, small_buffer=False):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        if small_buffer:
            connection.sock = socket.socket()
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            connection.sock.settimeout(timeout)
            connection.sock.connect(("127.0.0.1", self.port))
        connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
        return connection, connection.getresponse()

    def whole(self, body, chance):
        connection, response = self.post(body)
        answer = json.loads(response.read())
        connection.close()
        return response.status, answer["choices"][0]["text"] if response.status == 200 else answer

    def stream(self, body, chance, slow=False):
        # What a slow one does not read must pile up at the server: its own buffer is small, its chunks are large.
        asked = {**body, "stream": True, **({"logprobs": 5} if slow else {})}
        connection, response = self.post(asked, small_buffer=slow)
        if response.status != 200:
            answer = json.loads(response.read())
            connection.close()
            return response.status, answer
        text, ended = "", False
        for line in response:
            if slow:
                time.sleep(chance.random() * 0.2)
            line = line.decode().strip()
            ended = ended or line == "data: [DONE]"
            if line.startswith("data: {"):
                chunk = json.loads(line[6:])
                if "error" in chunk:
                    return 500, chunk
                text += chunk["choices"][0]["text"]
        connection.close()
        return (200, text) if ended else (0, "the stream broke off")

    def compare(self, ask, what, chance):
        body, expected = chance.choice(self.texts)
        try:
            status, text = ask(body, chance)
        except Exception as error:  # whatever it is, it is a finding
            self.note("failed", f"{what}: {body}: {error!r}")
            return
        if status == 429:
            self.note("busy")
            time.sleep(0.2)
        elif status != 200:
            self.note("failed", f"{what}: {body}: status {status}: {text}")
        elif text != expected:
            self.note("different", f"{what}: {body}: {text!r} instead of {expected!r}")
        else:
            self.note(what)

    def good(self, number):
        chance = random.Random(number)
        while not self.ended.is_set():
            if chance.random() < 0.5:
                self.compare(self.stream, "streams", chance)
            else:
                self.compare(self.whole, "whole texts", chance)

    def slow(self, number):
        chance = random.Random(3000 + number)
        while not self.ended.is_set():
            self.compare(lambda body, chance: self.stream(body, chance, slow=True), "slow streams", chance)

    def ask_and_keep(self, body):
        """A connection that has asked, and read nothing."""
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.settimeout(5)
        client.connect(("127.0.0.1", self.port))
        data = json.dumps(body).encode()
        client.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(data) + data)
        return client

    def leaver(self, number):
        """Goes in the midst, before the first token, after some, or having read nothing for a while."""
        chance = random.Random(1000 + number)
        while not self.ended.is_set():
            body = {**chance.choice(self.texts)[0], "stream": True, "n": chance.randint(1, 3), "logprobs": 5}
            with self.ask_and_keep(body) as client:
                if chance.random() < 0.2:
                    time.sleep(chance.random() * 5)
                    self.note("left unread")
                else:
                    client.settimeout(0.1)
                    for _ in range(chance.randint(0, 4)):
                        try:
                            client.recv(200)
                        except TimeoutError:
                            pass
                    self.note("left in the midst")
                if chance.random() < 0.5:  # a reset, as of a process that is killed
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            time.sleep(chance.random())

    def vandal(self, number):
        chance = random.Random(2000 + number)
        while not self.ended.is_set():
            kind = chance.choice(["garbage", "gigabyte", "gigabyte in chunks", "no JSON", "half a request"])
            answer = b""
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=5) as client:
                    try:
                        self.break_in(client, kind, chance)
                    except OSError:
                        pass  # thrown out; an answer may lie there
                    if kind != "half a request":
                        answer = client.recv(1000)
            except OSError:
                pass
            status = re.match(rb"HTTP/1.1 (\d+)", answer)
            silent = "left" if kind == "half a request" else "thrown out"
            self.note(f"{kind}: {status[1].decode() if status else silent}")
            if status and not status[1].startswith(b"4"):
                self.note("let in", f"{kind}: {answer!r}")
            time.sleep(chance.random())

    def break_in(self, client, kind, chance):
        if kind == "garbage":
            client.sendall(chance.randbytes(chance.randint(1, 5000)) + b"\r\n\r\n")
        elif kind == "gigabyte":
            client.sendall(HEAD + b"Content-Length: 1000000000\r\n\r\n")
            for _ in range(1000):
                client.sendall(b"x" * 1000000)
        elif kind == "gigabyte in chunks":  # the server cannot know beforehand
            client.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
            for _ in range(1000):
                client.sendall(b"f4240\r\n" + b"x" * 1000000 + b"\r\n")
        elif kind == "no JSON":
            data = chance.randbytes(chance.choice([300, 3000000]))
            client.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(data) + data)
        else:
            client.sendall(HEAD + b'Content-Length: 1000\r\n\r\n{"prompt": "')
            time.sleep(chance.random() * 5)


def memory(process):
    """Resident bytes of a process that are its own."""
    with open(f"/proc/{process}/status") as status:
        return int(re.search(r"RssAnon:\s+(\d+)", status.read())[1]) * 1024


def serve(program, model, slots):
    """A server, and its port."""
    server = subprocess.Popen([program, "serve", model, "--port", "0", "--slots", str(slots)], stderr=subprocess.PIPE,
                              text=True)
    for line in server.stderr:
        if found := re.search(r"heed serves on http://127.0.0.1:(\d+)", line):
            threading.Thread(target=server.stderr.read, daemon=True).start()
            return server, int(found[1])
        print(line, end="", flush=True)
    sys.exit("the server did not start")


def outstanding(port):
    """Texts that go on or wait; those who left last are missed soon."""
    for _ in range(50):
        idle = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        idle.request("GET", "/metrics")
        count = int(re.search(r"heed_outstanding\{.*\} (\d+)", idle.getresponse().read().decode())[1])
        if count == 0:
            break
        time.sleep(0.2)
    return count


def press(server, port, arguments):
    load = Load(port, [])
    for body in requests(arguments.max_tokens):
        status, text = load.whole(body, None)
        if status != 200:
            sys.exit(f"alone: {body}: {status}: {text}")
        load.texts.append((body, text))
    alone = memory(server.pid)
    print(f"{len(load.texts)} texts alone: {alone / 1e6:.1f} MB", flush=True)
    kinds = [(load.good, arguments.clients), (load.slow, 4), (load.leaver, 3), (load.vandal, 3)]
    threads = [threading.Thread(target=kind, args=(number,), daemon=True)
               for kind, count in kinds for number in range(count)]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    samples = []
    compared = lambda: sum(load.count[what] for what in ["whole texts", "streams", "slow streams", "different"])
    while time.monotonic() - begin < arguments.minutes * 60:
        time.sleep(1)
        if server.poll() is not None:
            sys.exit(f"the server ended with {server.returncode}")
        samples.append(memory(server.pid))
        if len(samples) % 60 == 0:
            print(f"minute {len(samples) // 60}: {samples[-1] / 1e6:.1f} MB, {compared()} texts compared", flush=True)
    load.ended.set()
    for thread in threads:
        thread.join()
    left = outstanding(port)
    # Bodies and answers come and go; what stays is the least that there is in some stretch of time.
    stretch = max(1, min(60, len(samples) // 3))
    first = min(samples[stretch:2 * stretch] or samples)  # what is loaded and planned once is there by then
    last = min(samples[-stretch:])
    for what, count in sorted(load.count.items()):
        print(f"  {what}: {count}")
    print(f"{arguments.minutes:g} minutes, {arguments.clients} good clients: {compared()} texts compared, "
          f"{load.count['different']} different, {load.count['failed']} failed, {left} outstanding\n"
          f"memory: {alone / 1e6:.1f} MB before, at least {first / 1e6:.1f} MB after {stretch} s, {last / 1e6:.1f} MB "
          f"in the end, {max(samples) / 1e6:.1f} MB at most")
    for wrong in load.wrong[:10]:
        print("WRONG:", wrong)
    server.send_signal(signal.SIGTERM)
    code = server.wait(60)
    # Steps are recorded when they come up first, for each mixture of ways to choose, number of texts and of steps: some
    # 20 MB when all have, which takes minutes.
    grown = last - first > 20e6 or last - alone > 100e6
    if load.wrong or left or grown or code != 0 or load.count["streams"] == 0:
        sys.exit(f"FAILED: {len(load.wrong)} wrong, exit code {code}{', memory has grown' if grown else ''}")
    print("passed: every text as it is alone")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model", nargs="?", help="a text model (default: that of models/shakespeare)")
    parser.add_argument("--program", default=os.environ.get("HEED_PROGRAM", str(ROOT / "build/heed")))
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--max-tokens", type=int, default=100)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = arguments.model
        if model is None:
            model = folder + "/shakespeare.heed"
            subprocess.run([arguments.program, "convert", ROOT / "models/shakespeare", "-o", model], check=True)
        server, port = serve(arguments.program, model, arguments.slots)
        try:
            press(server, port, arguments)
        finally:
            if server.poll() is None:
                server.kill()


if __name__ == "__main__":
    main()
