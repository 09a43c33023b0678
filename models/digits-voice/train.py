#!/usr/bin/env python3
"""Trains heed's digits-voice model, a WaveNet that says the digits 0 to 9 at 8 kHz, on a CPU in under an hour.

    python3 train.py --out . --minutes 35
    python3 train.py --judge FOLDER

OPENBLAS_NUM_THREADS=1 makes it several times as fast where PyTorch multiplies with OpenBLAS.

The data is speech that espeak-ng makes here: every digit in several voices, speeds and pitches, resampled to 8 kHz and
coded as 256 levels of the mu-law. The network reads the levels before, the voice, and for each frame of 10 ms which
digit is said and which part of the word it is; it learns the distribution of the next level.

--out receives config.json, model.safetensors (a running mean of the weights, as float16) and golden.safetensors
(reference values); they are rewritten as it goes. --minutes bounds the processor time of the whole run, and
--wall-minutes the time on the clock: the learning rate falls to zero by then. --resume goes on from the weights there.

--judge trains a classifier on the real clips alone, tells how many real clips that it never saw it gets right, and then
reads every .wav of FOLDER, where somebody says the digits from 0 to 9 as config.json has them: it prints how many it
recognises. speak_all.sh makes such a folder. Needs PyTorch 2, NumPy and espeak-ng.
"""
import argparse
import io
import json
import pathlib
import struct
import subprocess
import time
import wave

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
VOICES = {"anna": "en-us+f2", "bella": "en-gb+f4", "carl": "en-us", "edward": "en-gb-x-rp+m1"}
SPEEDS, PITCHES = (135, 155, 175), (44, 52)  # espeak-ng's words a minute, and its pitch of 0 to 99
RATE, HOP, BINS = 8000, 80, 24  # samples a second, samples a frame, parts of a word
BEFORE, AFTER = 4, 8  # frames of silence around a word
CONFIG = {
    "model_type": "wavenet", "name": "digits-voice", "temperature": 0.8,
    "sample_rate": RATE, "output": "mu_law", "levels": 256,
    "residual_channels": 32, "gate_channels": 32, "skip_channels": 48, "hidden_channels": 48, "input_kernel": 2,
    "kernel": 2, "dilations": [1, 2, 4, 8, 16, 32, 64, 128] * 2,
    "global_channels": 16, "voices": list(VOICES),
    "local_channels": 32, "local_ids": 1 + len(DIGITS) * BINS, "local_kernel": 5, "local_hop": HOP,
}
BATCH, CROP, RATE_OF_LEARNING, MEAN_DECAY = 4, 4000, 4e-3, 0.99


def resample(samples, rate):
    """By the spectrum, of which nothing above 3.9 kHz stays. The length must be a whole number of samples at RATE."""
    length = len(samples) * RATE // rate
    spectrum = np.fft.rfft(samples)[: length // 2 + 1]
    frequency = np.fft.rfftfreq(length, 1 / RATE)
    return np.fft.irfft(spectrum * np.clip((3900 - frequency) / 200, 0, 1), length) * (length / len(samples))


def speak(digit, voice, speed, pitch):
    """The word between its silences, the largest sample at 0.7."""
    command = ["espeak-ng", "-v", VOICES[voice], "-s", str(speed), "-p", str(pitch), "--stdout", DIGITS[digit]]
    with wave.open(io.BytesIO(subprocess.run(command, capture_output=True, check=True).stdout)) as file:
        rate, samples = file.getframerate(), file.readframes(1 << 24)
    samples = np.frombuffer(samples, np.int16)[: (len(samples) // 2)].astype(np.float64) / 32768
    samples = np.concatenate((samples, np.zeros(-len(samples) % 441)))  # 441 samples at 22,050 are 160 at 8,000
    samples = resample(samples, rate)
    loud = np.flatnonzero(np.abs(samples) > 0.01 * np.abs(samples).max())
    samples = samples[loud[0] : loud[-1] + 1]
    return (0.7 / np.abs(samples).max() * samples).astype(np.float32)


def mu_law(samples):
    """-1 to 1 as 0 to 255, and back."""
    return np.round((np.sign(samples) * np.log1p(255 * np.abs(samples)) / np.log(256) + 1) * 127.5).astype(np.int64)


def linear(levels):
    x = np.asarray(levels) / 127.5 - 1
    return np.sign(x) * np.expm1(np.abs(x) * np.log(256)) / 255


def frames_of(digit, count):
    """What each frame of a word says: ids of the local condition, with silence around."""
    parts = (np.arange(count) + 0.5) / count * BINS
    return np.pad(1 + digit * BINS + parts.astype(np.int64), (BEFORE, AFTER))


def clips():
    """All there are: (digit, voice, speed, levels, ids of frames)."""
    result = []
    for digit in range(10):
        for number, voice in enumerate(VOICES):
            for speed in SPEEDS:
                for pitch in PITCHES:
                    word = speak(digit, voice, speed, pitch)
                    frames = frames_of(digit, -(-len(word) // HOP))
                    samples = np.zeros(len(frames) * HOP, np.float32)
                    samples[BEFORE * HOP : BEFORE * HOP + len(word)] = word
                    result.append((digit, number, speed, mu_law(samples), frames))
    return result


class WaveNet(nn.Module):
    """What CONFIG describes. Its parameters have the names that the file needs."""

    def __init__(self):
        super().__init__()
        c = CONFIG
        residual, gate, skip, hidden = (c[key + "_channels"] for key in ("residual", "gate", "skip", "hidden"))
        self.input = nn.Conv1d(c["levels"], residual, c["input_kernel"])
        self.layers = nn.ModuleList()
        for _ in c["dilations"]:
            layer = nn.Module()
            layer.dilated = nn.Conv1d(residual, 2 * gate, c["kernel"])
            layer.residual, layer.skip = nn.Conv1d(gate, residual, 1), nn.Conv1d(gate, skip, 1)
            layer.add_module("global", nn.Linear(c["global_channels"], 2 * gate, bias=False))
            layer.local = nn.Conv1d(c["local_channels"], 2 * gate, 1, bias=False)
            self.layers.append(layer)
        self.hidden, self.output = nn.Conv1d(skip, hidden, 1), nn.Conv1d(hidden, c["levels"], 1)
        self.global_embedding = nn.Embedding(len(VOICES), c["global_channels"])
        self.local_embedding = nn.Embedding(c["local_ids"], c["local_channels"])
        self.local_conv = nn.Conv1d(c["local_channels"], c["local_channels"], c["local_kernel"], padding="same")

    def conditions(self, voice, frames):
        """What the conditions add in each layer: a list of (batch, 2 * gate, frames)."""
        local = F.relu(self.local_conv(self.local_embedding(frames).transpose(1, 2)))
        voice = self.global_embedding(voice)
        return [layer.local(local) + getattr(layer, "global")(voice)[:, :, None] for layer in self.layers]

    def forward(self, levels, voice, frames):
        """Logits (batch, levels, length) of what follows each of levels (batch, length); length = frames * hop."""
        # A convolution over one-hot levels is a sum of columns.
        columns = self.input.weight.permute(2, 1, 0)
        x = F.embedding(levels, columns[1]) + F.pad(F.embedding(levels, columns[0])[:, :-1], (0, 0, 1, 0))
        x = x.transpose(1, 2) + self.input.bias[:, None]
        skips = 0
        for layer, dilation, condition in zip(self.layers, CONFIG["dilations"], self.conditions(voice, frames)):
            past = F.pad(x, (dilation, 0))[:, :, : x.shape[2]]
            weight = layer.dilated.weight
            z = F.conv1d(torch.cat((past, x), 1), weight.permute(0, 2, 1).flatten(1)[:, :, None], layer.dilated.bias)
            z = z + condition.repeat_interleave(CONFIG["local_hop"], 2)
            a, b = z.chunk(2, 1)
            z = torch.tanh(a) * torch.sigmoid(b)
            skips = skips + layer.skip(z)
            x = x + layer.residual(z)
        return self.output(F.relu(self.hidden(F.relu(skips))))


def features(waves):
    """Logarithms of a spectrum in 24 bands, (batch, 24, 96): of 12,000 samples, 0.96 of a second."""
    waves = F.pad(waves, (0, max(0, 12000 - waves.shape[1])))[:, :12000]
    spectrum = torch.stft(waves, 256, 125, window=torch.hann_window(256), return_complex=True).abs()
    mel = lambda f: 2595 * np.log10(1 + f / 700)
    centres = np.linspace(mel(100), mel(3900), 26)
    at = mel(np.arange(129) * RATE / 256)
    bands = [np.clip(np.minimum(at - centres[i], centres[i + 2] - at) / (centres[1] - centres[0]), 0, 1)
             for i in range(24)]
    return torch.log(torch.tensor(np.stack(bands), dtype=torch.float32) @ spectrum + 0.02)[:, :, :96]


def classifier(data, steps=900):
    """A convolutional network from features to digits, trained on clips that are shifted, scaled and noisy."""
    net = nn.Sequential(
        nn.Conv1d(24, 64, 5, 2, 2), nn.BatchNorm1d(64), nn.ReLU(),
        nn.Conv1d(64, 64, 5, 2, 2), nn.BatchNorm1d(64), nn.ReLU(),
        nn.Conv1d(64, 64, 3, 2, 1), nn.BatchNorm1d(64), nn.ReLU(),
        nn.Flatten(), nn.Dropout(0.3), nn.Linear(64 * 12, 10))
    optimizer = torch.optim.Adam(net.parameters(), 2e-3)
    waves = [torch.tensor(linear(levels), dtype=torch.float32) for _, _, _, levels, _ in data]
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 2e-3 * (1 - step / steps)
        pick = torch.randint(len(data), (48,))
        batch = torch.zeros(48, 12000)
        for row, index in enumerate(pick):
            shift = int(torch.randint(2500, (1,)))
            wave_ = waves[index][: 12000 - shift]
            batch[row, shift : shift + len(wave_)] = wave_ * (0.4 + 0.8 * torch.rand(1))
        batch += 0.02 * torch.rand(48, 1) * torch.randn(48, 12000)
        loss = F.cross_entropy(net(features(batch)), torch.tensor([data[i][0] for i in pick]))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return net.eval()


@torch.no_grad()
def recognise(net, waves):
    rows = [F.pad(torch.as_tensor(w, dtype=torch.float32)[:12000], (0, max(0, 12000 - len(w)))) for w in waves]
    return torch.cat([net(features(torch.stack(rows[i : i + 100]))).argmax(1) for i in range(0, len(rows), 100)])


def judge(folder):
    data = clips()
    held = [clip for clip in data if clip[2] == SPEEDS[1]]  # one speed is kept for the test
    net = classifier([clip for clip in data if clip[2] != SPEEDS[1]])
    right = (recognise(net, [linear(c[3]) for c in held]) == torch.tensor([c[0] for c in held])).sum()
    print(f"the classifier is right about {right} of {len(held)} real clips that it never saw")
    classes = json.loads((pathlib.Path(__file__).parent / "config.json").read_text())["classes"]
    ends = np.cumsum([len(one["frames"]) * HOP for one in classes])
    waves, digits = [], []
    for path in sorted(folder.glob("*.wav")):
        with wave.open(str(path)) as file:
            assert file.getframerate() == RATE and file.getnchannels() == 1 and file.getsampwidth() == 2
            samples = np.frombuffer(file.readframes(1 << 24), np.int16) / 32768.0
        assert len(samples) == ends[-1], f"{path} does not hold the ten digits"
        waves += np.split(samples, ends[:-1])
        digits += range(10)
    found, asked = recognise(net, waves), torch.tensor(digits)
    rows = [f"{int((found[asked == d] == d).sum())} of {int((asked == d).sum())}" for d in range(10)]
    print(f"{int((found == asked).sum())} of {len(digits)} generated clips recognised; by digit: {', '.join(rows)}")


def write_tensors(path, tensors):
    kinds = {torch.float16: "F16", torch.float32: "F32", torch.int64: "I64"}
    header, blobs, offset = {"__metadata__": {"format": "pt"}}, [], 0
    for name, tensor in sorted(tensors.items()):
        blobs.append(tensor.detach().contiguous().numpy().tobytes())
        begin, offset = offset, offset + len(blobs[-1])
        header[name] = {"dtype": kinds[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, offset]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # the data begins at a multiple of eight
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def read_tensors(path):
    """What write_tensors wrote."""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header, kinds = json.loads(data[8 : 8 + size]), {"F16": np.float16, "F32": np.float32, "I64": np.int64}
    return {name: torch.tensor(np.frombuffer(data[8 + size :][slice(*entry["data_offsets"])], kinds[entry["dtype"]])
                               .reshape(entry["shape"]).copy())
            for name, entry in header.items() if name != "__metadata__"}


@torch.no_grad()
def export(folder, mean, data):
    """Writes the folder; returns the model as the file holds it."""
    model, weights = WaveNet(), {name: tensor.half() for name, tensor in mean.items()}
    model.load_state_dict(weights)
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / "model.safetensors", weights)
    words = []
    for digit in range(10):  # as long as espeak-ng says it, on average
        length = np.mean([len(frames) for d, _, _, _, frames in data if d == digit])
        words.append({"name": DIGITS[digit], "also": [str(digit)],
                      "frames": frames_of(digit, round(length) - BEFORE - AFTER).tolist()})
    config = json.dumps({**CONFIG, "classes": []}, indent=2)
    config = config.replace("[]", "[\n" + ",\n".join("    " + json.dumps(word) for word in words) + "\n  ]")
    (folder / "config.json").write_text(config + "\n")
    digit, voice, _, levels, frames = data[100]
    levels, frames = torch.tensor(levels[None, : 8 * HOP]), torch.tensor(frames[None, :8])
    logits = model(levels, torch.tensor([voice]), frames)[0].T
    write_tensors(folder / "golden.safetensors", {"levels": levels[0].to(torch.int64), "voice": torch.tensor([voice]),
                                                  "frames": frames[0], "logits": logits[::80].contiguous()})
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=pathlib.Path, help="folder to write the model to")
    parser.add_argument("--minutes", type=float, default=35, help="of processor time")
    parser.add_argument("--wall-minutes", type=float, default=240, help="of time on the clock")
    parser.add_argument("--resume", action="store_true", help="go on from the weights in the folder")
    parser.add_argument("--judge", type=pathlib.Path, help="folder of .wav files with the ten digits")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    if args.judge:
        return judge(args.judge)
    begun = saved = time.time()
    data = clips()
    seconds = sum(len(clip[3]) for clip in data) / RATE
    model = WaveNet()
    if args.resume:
        state = read_tensors(args.out / "model.safetensors")
        model.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    print(f"{len(data)} clips, {seconds:.0f} seconds of speech; {sum(p.numel() for p in model.parameters()):,} weights",
          flush=True)
    optimizer = torch.optim.Adam(model.parameters(), RATE_OF_LEARNING, (0.9, 0.99))
    mean = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    step, losses, rate = 0, [], RATE_OF_LEARNING / (2 if args.resume else 1)
    while True:
        minutes = time.process_time() / 60
        progress = max(minutes / args.minutes, (time.time() - begun) / 60 / args.wall_minutes)
        if progress >= 1:
            break
        optimizer.param_groups[0]["lr"] = rate * min(1.0, step / 100, 1.6 * (1 - progress))
        levels, frames, voices = [], [], []
        for index in torch.randint(len(data), (BATCH,)):
            _, voice, _, clip, ids = data[index]
            begin = int(torch.randint(max(1, len(ids) - CROP // HOP + 1), (1,)))
            begin = 0 if torch.rand(1) < 0.3 else begin  # a third starts as heed does, with no past
            ids = ids[begin : begin + CROP // HOP]
            clip = clip[begin * HOP : begin * HOP + len(ids) * HOP]
            ids = np.pad(ids, (0, CROP // HOP - len(ids)))
            levels.append(np.pad(clip, (1, CROP - len(clip)), constant_values=128))
            frames.append(ids)
            voices.append(voice)
        levels, frames = torch.tensor(np.stack(levels)), torch.tensor(np.stack(frames))
        loss = F.cross_entropy(model(levels[:, :-1], torch.tensor(voices), frames), levels[:, 1:])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        losses.append(loss.item())
        for name, tensor in model.named_parameters():
            mean[name].lerp_(tensor.detach(), max(1 - MEAN_DECAY, 1 / step))
        if step % 25 == 0:
            bits = np.mean(losses[-25:]) / np.log(2)
            print(f"step {step}  {progress:.1%}  {minutes:.1f} minutes  {bits:.3f} bits a sample", flush=True)
        if time.time() - saved > 300:
            saved = time.time()
            export(args.out, mean, data)
    model = export(args.out, mean, data)
    print(f"{step} steps of {BATCH} x {CROP} samples, {time.process_time() / 60:.1f} minutes of processor time")


if __name__ == "__main__":
    main()
