#!/usr/bin/env python3
"""Many clients of heed serve at once, good ones and bad ones, for as long as is asked.

usage: python3 tests/serve_load.py PROGRAM MODEL [--minutes 10] [--clients 16] [--slots 8]

Starts `PROGRAM serve MODEL` and asks for each of some texts alone. Then clients ask for them at random, whole and as
streams, and compare; others leave in the midst, read slowly, send garbage or bodies that are far too large. In the end
every text must have been the same as alone, no request of a good client may have failed otherwise than by 429, the
server must still answer, and its memory must not have grown. Python's standard library is enough.
"""

import argparse
import collections
import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time

PROMPTS = ["Once upon a time", "The little dog", "Lily and Tom went to the park.", "One day, a big", "She said",
           "There was a tree. It was very", "In the morning the sun", "He wanted to"]


def requests(max_tokens):
    """Texts of many lengths, greedy and drawn."""
    for number in range(32):
        yield {"prompt": PROMPTS[number % len(PROMPTS)], "seed": number, "temperature": [0, 0.7, 1][number % 3],
               "max_tokens": 1 + (number * 37) % max_tokens, "repetition_penalty": 1.1 if number % 5 == 0 else 1.0}


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

    def post(self, body, timeout=300):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
        return connection, connection.getresponse()

    def whole(self, body, chance):
        connection, response = self.post(body)
        answer = json.loads(response.read())
        connection.close()
        return response.status, answer["choices"][0]["text"] if response.status == 200 else answer

    def stream(self, body, chance):
        connection, response = self.post({**body, "stream": True})
        if response.status != 200:
            answer = json.loads(response.read())
            connection.close()
            return response.status, answer
        text, ended = "", False
        slow = chance.random() < 0.1
        for line in response:
            if slow:
                time.sleep(0.05)
            line = line.decode().strip()
            ended = ended or line == "data: [DONE]"
            if line.startswith("data: {"):
                chunk = json.loads(line[6:])
                if "error" in chunk:
                    return 500, chunk
                text += chunk["choices"][0]["text"]
        connection.close()
        return (200, text) if ended else (0, "the stream broke off")

    def good(self, number):
        chance = random.Random(number)
        while not self.ended.is_set():
            body, expected = chance.choice(self.texts)
            ask = self.stream if chance.random() < 0.5 else self.whole
            try:
                status, text = ask(body, chance)
            except Exception as error:  # whatever it is, it is a finding
                self.note("failed", f"{body}: {error!r}")
                continue
            if status == 429:
                self.note("busy")
                time.sleep(0.2)
            elif status != 200:
                self.note("failed", f"{body}: status {status}: {text}")
            elif text != expected:
                self.note("different", f"{body}: {text!r} instead of {expected!r}")
            else:
                self.note("texts")

    def leaver(self, number):
        """Goes in the midst, before the first token or after some."""
        chance = random.Random(1000 + number)
        while not self.ended.is_set():
            body = {**chance.choice(self.texts)[0], "stream": True, "n": chance.randint(1, 3)}
            with socket.create_connection(("127.0.0.1", self.port)) as client:
                data = json.dumps(body).encode()
                client.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                               b"Content-Length: %d\r\n\r\n" % len(data) + data)
                client.settimeout(0.1)
                for _ in range(chance.randint(0, 4)):
                    try:
                        client.recv(200)
                    except TimeoutError:
                        pass
            self.note("left")
            time.sleep(chance.random())

    def vandal(self, number):
        chance = random.Random(2000 + number)
        while not self.ended.is_set():
            kind = chance.randint(0, 3)
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=5) as client:
                    head = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                    if kind == 0:
                        client.sendall(chance.randbytes(chance.randint(1, 5000)))
                    elif kind == 1:  # a gigabyte
                        client.sendall(head + b"Content-Length: 1000000000\r\n\r\n")
                        for _ in range(1000):
                            client.sendall(b"x" * 1000000)
                    elif kind == 2:  # and one of unknown size
                        client.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
                        for _ in range(1000):
                            client.sendall(b"f4240\r\n" + b"x" * 1000000 + b"\r\n")
                    else:
                        data = chance.randbytes(300)
                        client.sendall(head + b"Content-Length: %d\r\n\r\n" % len(data) + data)
                        client.recv(1000)
            except OSError:
                pass  # it was thrown out
            self.note("vandals")
            time.sleep(chance.random())


def memory(process):
    """Resident bytes of a process that are its own."""
    with open(f"/proc/{process}/status") as status:
        return int(re.search(r"RssAnon:\s+(\d+)", status.read())[1]) * 1024


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--max-tokens", type=int, default=100)
    arguments = parser.parse_args()
    server = subprocess.Popen([arguments.program, "serve", arguments.model, "--port", "0", "--slots",
                               str(arguments.slots)], stderr=subprocess.PIPE, text=True)
    try:
        port = None
        for line in server.stderr:
            if found := re.search(r"heed serves on http://127.0.0.1:(\d+)", line):
                port = int(found[1])
                break
            print(line, end="")
        if port is None:
            sys.exit("the server did not start")
        threading.Thread(target=server.stderr.read, daemon=True).start()
        load = Load(port, [])
        for body in requests(arguments.max_tokens):
            status, text = load.whole(body, None)
            if status != 200:
                sys.exit(f"alone: {body}: {status}: {text}")
            load.texts.append((body, text))
        threads = [threading.Thread(target=load.good, args=(number,)) for number in range(arguments.clients)]
        threads += [threading.Thread(target=load.leaver, args=(number,)) for number in range(3)]
        threads += [threading.Thread(target=load.vandal, args=(number,)) for number in range(2)]
        begin = time.monotonic()
        for thread in threads:
            thread.start()
        grown = []
        while time.monotonic() - begin < arguments.minutes * 60:
            time.sleep(5)
            now = memory(server.pid)
            grown.append(now)
            if len(grown) % 12 == 0:
                print(f"minute {len(grown) // 12}: {now / 1e6:.1f} MB, {load.count['texts']} texts", flush=True)
            if server.poll() is not None:
                sys.exit(f"the server ended with {server.returncode}")
        load.ended.set()
        for thread in threads:
            thread.join()
        for _ in range(50):  # those who left last are missed soon
            idle = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            idle.request("GET", "/metrics")
            metrics = idle.getresponse().read().decode()
            outstanding = re.search(r"heed_outstanding\{.*\} (\d+)", metrics)[1]
            if outstanding == "0":
                break
            time.sleep(0.2)
        # Bodies and answers come and go; what stays is the least that there is in some stretch of time.
        third = max(1, len(grown) // 3)
        first = min(grown[third:2 * third] or grown)  # what is loaded and planned once is there by then
        growth = (min(grown[-third:]) - first) / 1e6
        print(f"{arguments.minutes:g} minutes, {arguments.clients} clients: {dict(load.count)}; memory "
              f"{first / 1e6:.1f} MB at least in the second third, {growth:+.1f} MB in the last; {outstanding} outstanding")
        for wrong in load.wrong[:10]:
            print("WRONG:", wrong)
        server.send_signal(signal.SIGTERM)
        code = server.wait(60)
        # Bodies of vandals, 8 MB each, lie in the heaps of the threads that read them: it comes and goes by 50 MB.
        if load.wrong or outstanding != "0" or growth > 64 or code != 0 or load.count["texts"] == 0:
            sys.exit(f"FAILED: {len(load.wrong)} wrong, exit code {code}")
        print("passed: every text as it is alone")
    finally:
        if server.poll() is None:
            server.kill()


if __name__ == "__main__":
    main()
