"""json_check against Python's json module: the fuzz corpus and seeded mutations of it.

Where the two differ by intention, the text is left out by a rule that is computed here from the text, never by its name:
words that Python takes beyond RFC 8259 (NaN, Infinity), lone surrogates, repeated keys, depth and length of numbers.
"""
import json
import os
import random
import re
import struct
import subprocess
import sys

CORPUS = "tests/fuzz/corpus/fuzz_json"
SEED = 20260301
MUTATIONS = 20000
DEPTH_MAX = 32
NUMBER_MAX = 128
PIECES = [b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b" ", b"\n", b"0", b"-", b".", b"e", b"1", b"null", b"true",
          b"false", b"\\u0041", b"\\ud83d", b"\\ude00", b"\xc3\xa4", b"\xe6\xb1\x89", b"\xf0\x9f\x98\x80", b"\x80", b"\x00",
          b"\x1f", b'"a":', b"[]", b"{}", b'""', b"x" * 64]


class Excluded(Exception):
    """The text is one of those that we and Python treat differently by intention."""


def depth_of(text):
    """How deep brackets outside of strings nest."""
    outside = re.sub(r'"(?:[^"\\]|\\.)*"', "", text, flags=re.S)
    depth = deepest = 0
    for c in outside:
        depth += (c in "[{") - (c in "]}")
        deepest = max(deepest, depth)
    return deepest


def is_whole(value):
    """No string of a value, as Python read it, holds a lone surrogate."""
    if isinstance(value, str):
        return not any(0xD800 <= ord(c) <= 0xDFFF for c in value)
    if isinstance(value, list):
        return all(is_whole(v) for v in value)
    return True


def refuse_word(word):
    raise ValueError(word)  # RFC 8259 has no NaN, Infinity, -Infinity


def number(text):
    if len(text) > NUMBER_MAX:
        raise Excluded
    return 0


def members(pairs):
    keys = [k for k, _ in pairs]
    if len(set(keys)) != len(keys):
        raise Excluded
    return [part for pair in pairs for part in pair]


def python_says(data):
    """'A' or 'R'; Excluded where the comparison says nothing."""
    try:
        text = data.decode("utf-8", "strict")
    except UnicodeDecodeError:
        return "R"
    if text.startswith("\ufeff"):
        return "R"
    if depth_of(text) > DEPTH_MAX:
        raise Excluded
    try:
        value = json.loads(text, parse_constant=refuse_word, parse_int=number, parse_float=number, object_pairs_hook=members)
    except (ValueError, RecursionError):
        return "R"
    if not is_whole(value):
        raise Excluded
    return "A"


def mutate(rng, seeds):
    """A few cuts, swaps and insertions in one text, or two texts joined."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.randint(1, 3)):
        at = rng.randint(0, len(data))
        kind = rng.randrange(6)
        if kind == 0:
            data[at:at] = rng.choice(PIECES)
        elif kind == 1:
            del data[at:at + rng.randint(1, 4)]
        elif kind == 2 and at < len(data):
            data[at] = rng.randrange(256)
        elif kind == 3:
            data[at:at + 1] = rng.choice(PIECES)
        elif kind == 4:
            end = min(len(data), at + rng.randint(1, 20))
            data[at:at] = data[at:end]
        else:
            other = rng.choice(seeds)
            start = rng.randint(0, len(other))
            data[at:at] = other[start:start + rng.randint(0, 30)]
    return bytes(data)


def main():
    program = os.path.join(os.environ["CHARGELINE_BUILD"], "json-check")
    names = sorted(os.listdir(CORPUS))
    seeds = []
    for name in names:
        with open(os.path.join(CORPUS, name), "rb") as f:
            seeds.append(f.read())
    rng = random.Random(SEED)
    texts = seeds + [mutate(rng, seeds) for _ in range(MUTATIONS)]
    done = subprocess.run([program], input=b"".join(struct.pack(">I", len(t)) + t for t in texts), stdout=subprocess.PIPE,
                          timeout=120, check=False)
    answers = done.stdout.decode("ascii")
    if done.returncode != 0 or len(answers) != len(texts):
        print(f"json-check ended with {done.returncode} after {len(answers)} of {len(texts)} texts", file=sys.stderr)
        print("0 passed, 1 failed")
        return 1
    passed = failed = excluded = accepted = 0
    for text, ours in zip(texts, answers):
        try:
            theirs = python_says(text)
        except Excluded:
            excluded += 1
            continue
        if ours == theirs:
            passed += 1
            accepted += ours == "A"
        else:
            failed += 1
            print(f"we say {ours}, Python says {theirs}: {text!r}", file=sys.stderr)
    # A comparison in which nearly all is rejected, or left out, would say little.
    if accepted < MUTATIONS // 20 or excluded > MUTATIONS // 4:
        failed += 1
        print(f"only {accepted} accepted, {excluded} left out", file=sys.stderr)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
