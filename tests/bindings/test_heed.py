"""The Python package, on the models that HEED_TEST_MODELS holds."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import heed

try:
    import numpy as np
except ImportError:
    np = None

MODELS = os.environ["HEED_TEST_MODELS"]
GOLDEN = os.environ["HEED_TEST_GOLDEN"]
PROGRAM = os.environ["HEED_PROGRAM"]


def model_file(name):
    return os.path.join(MODELS, name + ".heed")


needs_numpy = unittest.skipIf(np is None, "SKIPPED: no numpy (Debian: python3-numpy)")


def generated_by_program(*options):
    """What `heed generate` writes for the same."""
    done = subprocess.run([PROGRAM, "generate", model_file("shakespeare"), "ROMEO:", *options], check=True,
                          capture_output=True)
    return done.stdout.decode()


def _varint(number):
    return bytes([number]) if number < 128 else bytes([number % 128 + 128]) + _varint(number // 128)


def _message(*fields):
    """A message of protobuf: pairs of a field's number and its value, an integer, a text or a message."""
    made = b""
    for number, value in fields:
        value = value.encode() if isinstance(value, str) else value
        if isinstance(value, int):
            made += _varint(number << 3) + _varint(value)
        else:
            made += _varint(number << 3 | 2) + _varint(len(value)) + value
    return made


def onnx_of_products():
    """An ONNX model of a scalar x and a list y of three: product = x * y, square = x * x."""

    def value(name, *shape):
        sizes = _message(*[(1, _message((1, size))) for size in shape])
        return _message((1, name), (2, _message((1, _message((1, 1), (2, sizes))))))

    def mul(left, right, result):
        return _message((1, left), (1, right), (2, result), (4, "Mul"))

    graph = _message((1, mul("x", "y", "product")), (1, mul("x", "x", "square")), (2, "products"), (11, value("x")),
                     (11, value("y", 3)), (12, value("product", 3)), (12, value("square")))
    return _message((1, 8), (7, graph), (8, _message((1, ""), (2, 17))))


class Texts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.model = heed.load(model_file("shakespeare"))

    @classmethod
    def tearDownClass(cls):
        cls.model.close()

    def test_load_gives_the_class_of_the_task(self):
        self.assertIsInstance(self.model, heed.TextModel)
        self.assertEqual(heed.task(model_file("shakespeare")), "text-generation")
        self.assertEqual(self.model.vocabulary, 65)
        self.assertFalse(self.model.has_chat)

    def test_generates_what_the_program_does(self):
        made = self.model.generate("ROMEO:", max_tokens=40, seed=3, top_k=10)
        self.assertEqual(made, generated_by_program("-n", "40", "--seed", "3", "--top-k", "10"))
        self.assertEqual(len(made.tokens), 40)
        self.assertEqual(made.stop_reason, "max_tokens")
        self.assertEqual(made.prompt_tokens, self.model.tokenize("ROMEO:"))
        self.assertEqual(self.model.detokenize(made.tokens), made)
        self.assertNotEqual(made, self.model.generate("ROMEO:", max_tokens=40, seed=4, top_k=10))

    def test_streams_the_same(self):
        whole = self.model.generate("ROMEO:", max_tokens=40, temperature=0)
        stream = self.model.generate(self.model.tokenize("ROMEO:"), max_tokens=40, temperature=0, stream=True)
        pieces = list(stream)
        self.assertGreater(len(pieces), 5)
        self.assertEqual("".join(pieces), whole)
        self.assertEqual(stream.generation, whole)

    def assert_cancelled(self, made, all_tokens):
        """Unless all came in one submission, as they may on a fast device."""
        if len(made.tokens) < all_tokens:
            self.assertEqual(made.stop_reason, "cancelled")

    def test_a_stream_that_is_left_stops(self):
        with self.model.generate("ROMEO:", max_tokens=200, stream=True) as stream:
            first = next(stream)
        self.assertTrue(stream.generation.startswith(first))
        self.assert_cancelled(stream.generation, 200)
        self.assertRaises(StopIteration, next, stream)

    def test_a_stream_that_nobody_has_stops(self):
        stream = self.model.generate("ROMEO:", max_tokens=200, stream=True)
        next(stream)
        work = stream._work
        del stream
        self.assertEqual(len(self.model.generate("a", max_tokens=2).tokens), 2)  # waits for its end
        deadline = time.monotonic() + 10
        while work.generation is None and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assert_cancelled(work.generation, 200)

    def test_stop_texts(self):
        made = self.model.generate("ROMEO:", temperature=0, stop="The")
        self.assertEqual((made, made.stop_reason), ("\n", "stop_text"))

    def test_refuses(self):
        for error, words, options in [
                (heed.Error, "temperature", {"temperature": -1}),
                (heed.InvalidArgument, "unknown options: heat", {"heat": 1}),
                (heed.InvalidArgument, "does not fit", {"top_k": 2**40}),
                (heed.InvalidArgument, "makes no sense", {"max_tokens": "many"}),
                (heed.InvalidArgument, "zero character", {"stop": ["a\0b"]})]:
            with self.assertRaisesRegex(error, words):
                self.model.generate("a", **options)
        with self.assertRaisesRegex(heed.Error, "chat template"):
            self.model.chat([{"role": "user", "content": "Hello"}])
        with self.assertRaisesRegex(heed.Error, "65"):
            self.model.generate([65])
        with self.assertRaisesRegex(heed.InvalidArgument, "32 bits"):
            self.model.generate([2**31])
        with self.assertRaisesRegex(heed.Error, "65"):
            list(self.model.generate([65], stream=True))

    def test_refuses_what_is_no_text(self):
        file = model_file("shakespeare")
        expected = r"1, expected a text"
        with self.assertRaisesRegex(heed.InvalidArgument, "cache: " + expected):
            heed.TextModel(file, cache=1)
        message = [{"role": "user", "content": "Hello"}]
        for words, options in [("name", {"template": 1}), ("grammar", {"grammar": 1}), ("json_schema", {"json_schema": 1}),
                               ("stop", {"stop": [1]})]:
            with self.assertRaisesRegex(heed.InvalidArgument, f"{words}: {expected}"):
                self.model.chat(message, **options)
        with self.assertRaisesRegex(heed.InvalidArgument, "name: " + expected):
            self.model.chat_prompt(message, template=1)
        with heed.load(model_file("dates")) as model:
            for words, options in [("from_", {"source": 1}), ("to", {"target": 1}), ("prefix", {"prefix": 1})]:
                with self.assertRaisesRegex(heed.InvalidArgument, f"{words}: {expected}"):
                    model.translate("19.08.2030", **options)
            with self.assertRaisesRegex(heed.InvalidArgument, "a line: " + expected):
                model.translate([1])

    def test_a_stream_that_goes_on_at_exit(self):
        for ending in ["", "raise SystemExit(0)"]:
            program = ("import heed, sys\n"
                       "stream = heed.load(sys.argv[1]).generate('ROMEO:', max_tokens=240, stream=True)\n"
                       f"print(next(stream), next(stream), flush=True)\n{ending}")
            for _ in range(5):
                done = subprocess.run([sys.executable, "-c", program, model_file("shakespeare")], check=False,
                                      capture_output=True, timeout=120)
                self.assertEqual((done.returncode, done.stderr), (0, b""))
                self.assertGreater(len(done.stdout), 3)

    def test_grammars(self):
        end = {"temperature": 0, "end_tokens": self.model.tokenize("\n")}  # the model has none of its own
        self.assertIn(self.model.generate("ROMEO:", grammar='root ::= "verily" | "nay"', **end), ["verily", "nay"])
        self.assertIn(self.model.generate("ROMEO:", json_schema={"type": "boolean"}, **end), ["true", "false"])
        self.assertEqual(self.model.generate("ROMEO:", json_schema='{"const": false}', **end), "false")
        self.assertEqual("".join(self.model.generate("ROMEO:", grammar='root ::= "a"', stream=True, **end)), "a")
        with self.assertRaisesRegex(heed.Error, "missing"):
            self.model.generate("ROMEO:", grammar="root ::= missing", **end)
        with self.assertRaisesRegex(heed.InvalidArgument, "one of them"):
            self.model.generate("ROMEO:", grammar='root ::= "a"', json_schema={}, **end)

    def test_logprobs(self):
        made = self.model.generate("ROMEO:", temperature=0, max_tokens=10, logprobs=2)
        self.assertEqual((len(made.logprobs), [len(best) for best in made.best_tokens]), (10, [2] * 10))
        self.assertTrue(all(logprob <= 0 for logprob in made.logprobs))
        self.assertEqual([best[0] for best in made.best_tokens], list(zip(made.tokens, made.logprobs)))
        self.assertTrue(all(first[1] >= second[1] for first, second in made.best_tokens))
        self.assertEqual(self.model.generate("ROMEO:", max_tokens=2, logprobs=0).best_tokens, [[], []])
        self.assertIsNone(self.model.generate("ROMEO:", max_tokens=2).logprobs)

    def test_penalties_and_biases(self):
        greedy = self.model.generate("ROMEO:", temperature=0, max_tokens=20)
        for bias in [-100, float("-inf")]:
            made = self.model.generate("ROMEO:", temperature=0, max_tokens=20, logit_bias={greedy.tokens[0]: bias})
            self.assertNotIn(greedy.tokens[0], made.tokens)
        for options in [{"presence_penalty": 100}, {"frequency_penalty": 100.0}, {"no_repeat_ngram": 1},
                        {"dry_multiplier": 100, "dry_allowed_length": 1}]:
            self.assertNotEqual(self.model.generate("ROMEO:", temperature=0, max_tokens=20, **options), greedy)
        # As the program draws with the same.
        made = self.model.generate("ROMEO:", max_tokens=40, seed=3, typical_p=0.5, xtc_probability=0.5, xtc_threshold=0.2)
        self.assertEqual(made, generated_by_program("-n", "40", "--seed", "3", "--typical-p", "0.5", "--xtc-probability",
                                                    "0.5", "--xtc-threshold", "0.2"))
        for error, words, options in [(heed.Error, "DRY base", {"dry_base": 0.5}),
                                      (heed.Error, "DRY breaker", {"dry_multiplier": 1, "dry_breakers": [65]}),
                                      (heed.Error, "DRY window", {"dry_window": -2}),
                                      (heed.Error, "logit bias of token 1 is 101", {"logit_bias": {1: 101}}),
                                      (heed.InvalidArgument, "expected a dict", {"logit_bias": [1]}),
                                      (heed.InvalidArgument, "32 bits", {"logit_bias": {"a": 1}}),
                                      (heed.InvalidArgument, "expected numbers", {"logit_bias": {1: "a"}})]:
            with self.assertRaisesRegex(error, words):
                self.model.generate("ROMEO:", **options)

    def test_closed_models(self):
        with heed.load(model_file("shakespeare"), context=32) as model:
            self.assertEqual(model.context, 32)
        with self.assertRaisesRegex(heed.InvalidArgument, "closed"):
            model.generate("a")
        model.close()

    def test_threads_share_a_model(self):
        expected = self.model.generate("ROMEO:", max_tokens=20, temperature=0)
        made = []
        threads = [threading.Thread(target=lambda: made.append(
            self.model.generate("ROMEO:", max_tokens=20, temperature=0))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(made, [expected] * 4)

    def interrupted(self, work):
        """Presses Ctrl-C half a second into work(), which takes longer."""
        timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
        began = time.monotonic()
        timer.start()
        try:
            with self.assertRaises(KeyboardInterrupt):
                while time.monotonic() < began + 60:
                    work()
        finally:
            timer.join()
        self.assertLess(time.monotonic() - began, 30)
        self.assertIs(signal.getsignal(signal.SIGINT), signal.default_int_handler)
        self.assertEqual(len(self.model.generate("a", max_tokens=3).tokens), 3)

    def test_ctrl_c_ends_a_generation(self):
        self.interrupted(lambda: self.model.generate("ROMEO:", max_tokens=240))

    def test_ctrl_c_ends_a_stream(self):
        def work():
            with self.model.generate("ROMEO:", max_tokens=240, stream=True) as stream:
                for _ in stream:
                    pass

        self.interrupted(work)

    @needs_numpy
    def test_takes_integers_of_numpy(self):
        prompt = np.array(self.model.tokenize("ROMEO:"))
        made = self.model.generate(prompt, max_tokens=np.int64(5), temperature=0)
        self.assertEqual(made, self.model.generate("ROMEO:", max_tokens=5, temperature=0))

    @needs_numpy
    def test_logits_tell_the_greedy_token(self):
        prompt = self.model.tokenize("ROMEO:")
        logits = self.model.logits(prompt)
        self.assertEqual((logits.shape, logits.dtype), ((6, 65), np.float32))
        self.assertEqual([logits[-1].argmax()], self.model.generate(prompt, max_tokens=1, temperature=0).tokens)


class Converted(unittest.TestCase):
    """Small models of tests/golden, whose folder is HEED_TEST_GOLDEN."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def convert(self, *source):
        made = os.path.join(self.folder.name, "made.heed")
        subprocess.run([PROGRAM, "convert", *source, "-o", made], check=True, capture_output=True)
        return made

    def test_chats_as_the_program_does(self):
        copy = os.path.join(self.folder.name, "llama")
        shutil.copytree(os.path.join(GOLDEN, "hf", "llama"), copy)
        with open(os.path.join(copy, "tokenizer_config.json"), encoding="utf-8") as file:
            config = json.load(file)
        config["chat_template"] = "{% for m in messages %}{{ m.role[0] }}:{{ m.content }};{% endfor %}{{ mood }}"
        with open(os.path.join(copy, "tokenizer_config.json"), "w", encoding="utf-8") as file:
            json.dump(config, file)
        made = self.convert(copy)
        messages = [{"role": "user", "content": "hi \u00e9"}, {"role": "assistant", "content": "ho"}]
        request = {"messages": messages, "variables": {"mood": "glad"}}
        program = subprocess.run([PROGRAM, "generate", made, "--chat", "-", "-n", "8", "--temperature", "0", "--json"],
                                 input=json.dumps(request).encode(), check=True, capture_output=True)
        expected = json.loads(program.stdout)
        with heed.load(made) as model:
            self.assertTrue(model.has_chat)
            self.assertEqual(model.chat_prompt(messages, variables={"mood": "glad"}), "u:hi \u00e9;a:ho;glad")
            answer = model.chat(messages, variables={"mood": "glad"}, max_tokens=8, temperature=0)
            self.assertEqual((answer.prompt_tokens, answer.tokens), (expected["prompt_tokens"], expected["tokens"]))
            self.assertEqual(answer, expected["text"])
            self.assertEqual("".join(model.chat(messages, variables={"mood": "glad"}, max_tokens=8, temperature=0,
                                                stream=True)), answer)
            with self.assertRaisesRegex(heed.Error, "template"):
                model.chat(messages, template="none of this name")

    @needs_numpy
    def test_runs_on_scalars(self):
        source = os.path.join(self.folder.name, "products.onnx")
        with open(source, "wb") as file:
            file.write(onnx_of_products())
        with heed.GraphModel(self.convert(source)) as graph:
            for x in [3.0, np.float32(3), np.array(3.0)]:
                made = graph.run({"x": x, "y": np.array([1.0, 2.0, -4.0])})
                np.testing.assert_array_equal(made["product"], np.array([3, 6, -12], dtype="float32"))
                self.assertEqual((made["square"].shape, float(made["square"])), ((), 9.0))
            with self.assertRaisesRegex(heed.Error, "input 'y'"):
                graph.run({"x": 3.0, "y": 1.0})

    @needs_numpy
    def test_upscales_as_the_graph_does(self):
        source = os.path.join(GOLDEN, "pictures", "i9_super_resolution")
        describe = os.path.join(self.folder.name, "describe.json")
        with open(describe, "w", encoding="utf-8") as file:
            json.dump({"task": "image-to-image", "roles": {"x": {"role": "image", "range": [0, 1]},
                                                           "y": {"role": "image", "range": [0, 1]}}}, file)
        made = self.convert(os.path.join(source, "model.onnx"), "--describe", describe)
        rng = np.random.default_rng(1)
        with heed.load(made) as model, heed.GraphModel(made) as graph:
            self.assertIsInstance(model, heed.PictureModel)
            about = graph.describe()["graphs"][0]
            channels = int(about["inputs"][0]["shape"][1])
            picture = rng.random((channels, 24, 20), dtype=np.float32)
            large = model.upscale(picture)
            self.assertEqual(large.dtype, np.float32)
            self.assertGreater(large.shape[1], 24)
            self.assertEqual(large.shape[1] * 20, large.shape[2] * 24)
            run = graph.run({about["inputs"][0]["name"]: picture[None]})[about["outputs"][0]][0]
            np.testing.assert_allclose(run, large, atol=1e-4)
            rows = np.round(picture * 255).astype(np.uint8).transpose(1, 2, 0)
            shown = model.upscale(rows)
            self.assertEqual((shown.dtype, shown.shape), (np.uint8, (*large.shape[1:], large.shape[0])))
            near = np.abs(shown.transpose(2, 0, 1) / 255 - large.clip(0, 1))
            self.assertLess(near.mean(), 0.02)


class Translations(unittest.TestCase):
    def test_translates(self):
        with heed.load(model_file("dates")) as model:
            self.assertEqual(model.translate("the 3rd of may, 2008"), "2008-05-03")
            lines = model.translate(["19.08.2030", " ", "sunday, december 25 1994"])
            self.assertEqual(lines, ["2030-08-19", "", "1994-12-25"])
            self.assertTrue(lines[0].ended)
            best = model.translate("19.08.2030", n_best=3, beams=4)
            self.assertEqual(best[0], "2030-08-19")
            self.assertEqual([t.score for t in best], sorted((t.score for t in best), reverse=True))
            drawn = model.translate("19.08.2030", samples=2, n_best=2, temperature=1.0, seed=1)
            self.assertEqual(len(drawn), 2)
            with self.assertRaisesRegex(heed.Error, "33"):
                model.translate("19.08.2030", beams=33)


@needs_numpy
class Pictures(unittest.TestCase):
    def test_draws(self):
        with heed.load(model_file("fashion-tokens")) as model:
            done = []
            first, second = model.draw("a dark coat", count=2, seed=1, progress=lambda *rows: done.append(rows))
            self.assertEqual((first.shape, first.dtype), ((32, 32, 1), np.uint8))
            self.assertTrue((first != second).any())
            self.assertEqual(done[-1][0], done[-1][1])
            planes = model.draw("a dark coat", seed=1, dtype="float32")[0]
            self.assertEqual(planes.shape, (1, 32, 32))
            rounded = np.floor(planes.clip(0, 1) * np.float32(255) + np.float32(0.5))
            np.testing.assert_array_equal(rounded[0], first[:, :, 0])

            def stop(*_):
                raise LookupError("enough")

            with self.assertRaisesRegex(LookupError, "enough"):
                model.draw("a dark coat", progress=stop)
            with self.assertRaisesRegex(heed.Error, "word|know"):
                model.draw("a xylophone")
            with self.assertRaisesRegex(heed.InvalidArgument, "caption: 3, expected a text"):
                model.draw(3)
            with self.assertRaisesRegex(heed.Error, "see heed_draw"):
                model.upscale(first)
            with self.assertRaisesRegex(heed.InvalidArgument, "a picture of shape"):
                model.upscale(np.zeros(3))


@needs_numpy
class Sounds(unittest.TestCase):
    def test_speaks(self):
        with heed.load(model_file("digits-voice")) as model:
            samples, rate = model.say("seven", seconds=0.1, seed=1)
            self.assertEqual((len(samples), samples.dtype), (rate // 10, np.float32))
            again, _ = model.sound("seven", seconds=0.1, seed=1)
            np.testing.assert_array_equal(samples, again)
            self.assertGreater(np.abs(samples).max(), 0)
            with self.assertRaisesRegex(heed.Error, "no-one"):
                model.say("seven", voice="no-one")
            with self.assertRaisesRegex(heed.InvalidArgument, "text: 7, expected a text"):
                model.say(7)


@needs_numpy
class Graphs(unittest.TestCase):
    def test_runs_a_graph_as_heed_run_does(self):
        prompt = np.array([30, 27, 25, 17, 27, 10])
        with heed.GraphModel(model_file("shakespeare")) as graph, heed.load(model_file("shakespeare")) as text:
            names = [item["name"] for item in graph.describe()["graphs"][0]["inputs"]]
            self.assertEqual(sorted(names), ["position", "tokens"])
            logits = graph.run({"tokens": prompt, "position": np.array([0])})["logits"]
            np.testing.assert_allclose(logits, text.logits(prompt.tolist()), atol=1e-3)
            # What was read stays in the states, and the last token reads all of it.
            graph.reset()
            graph.run({"tokens": prompt[:5], "position": np.array([0])})
            last = graph.run({"tokens": prompt[5:], "position": np.array([5])}, sizes={"outputs": 1})["logits"]
            np.testing.assert_allclose(last[0], logits[5], atol=1e-3)
            for words, inputs in [("is missing", {"tokens": prompt}),
                                  ("real numbers", {"tokens": prompt * 0.5, "position": np.array([0])}),
                                  ("complex", {"tokens": prompt * 1j, "position": np.array([0])})]:
                with self.assertRaisesRegex(heed.Error, words):
                    graph.run(inputs)
            given = {"tokens": prompt, "position": np.array([0])}
            for words, inputs, options in [("name: 1", {1: prompt}, {}), ("graph: 1", given, {"graph": 1}),
                                           ("sizes: 1", given, {"sizes": {1: 2}})]:
                with self.assertRaisesRegex(heed.InvalidArgument, words + ", expected a text"):
                    graph.run(inputs, **options)


class Devices(unittest.TestCase):
    def test_devices(self):
        found = heed.devices()
        self.assertEqual([device.index for device in found], list(range(len(found))))
        with heed.Device(0) as device:
            self.assertEqual(device.info.name, found[0].name)
            first = heed.load(model_file("dates"), device)
        self.assertEqual(first.translate("19.08.2030"), "2030-08-19")  # a model keeps what it runs on
        with self.assertRaisesRegex(heed.Error, "no such thing"):
            heed.Device("no such thing")
        with self.assertRaisesRegex(heed.Error, "is not a .heed file"):
            heed.load(__file__)
        self.assertTrue(issubclass(heed.DeviceLost, heed.Error))

    def test_models_share_the_best_device(self):
        with heed.load(model_file("dates")) as one, heed.load(model_file("dates")) as other:
            self.assertIs(one.device, other.device)

    def test_a_library_that_is_not_there_is_named(self):
        done = subprocess.run([sys.executable, "-c", "import heed"], capture_output=True, check=False,
                              env={**os.environ, "HEED_LIBRARY": "/nowhere/libheed.so.0"})
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"ImportError: heed's shared library cannot be loaded (/nowhere/libheed.so.0 is not there)",
                      done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
