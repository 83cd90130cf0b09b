"""A fleet of storm.c's peers, and what a test needs to know of the server's process and its figures."""
import json, os, re, subprocess

BUILD = os.environ.get("CHARGELINE_BUILD", "build/release")


class Fleet:
    """COUNT stations of the program storm against a server; each command gives the answer that storm prints."""

    def __init__(self, server, prefix, count):
        host, port = server.ocpp.rsplit(":", 1)
        self.process = subprocess.Popen([os.path.join(BUILD, "storm"), host, port, prefix, str(count)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1)

    def ask(self, line):
        self.tell(line)
        return self.answer()

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def answer(self):
        return json.loads(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.stdin.close()
        self.process.wait(timeout=30)
        self.process.stdout.close()


def rss_kb(server):
    with open(f"/proc/{server.process.pid}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))


def metric(server, name, label=""):
    """The value of one series, label as it stands between the braces; 0 when it is not there."""
    text = server.get("/metrics").text
    wanted = name + ("{" + label + "}" if label else "")
    found = re.search("^" + re.escape(wanted) + r" ([0-9.e+]+)$", text, re.M)
    return float(found.group(1)) if found else 0.0
