"""A Maelstrom node in Python: one thread reads, and each message is handled in a thread of its own."""
import json
import sys
import threading
import time


class Error(Exception):
    """An error reply: code 0 where no reply came in time."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code
        self.text = text


class Node:
    def __init__(self):
        self.id = None
        self.ids = []
        self.lock = threading.RLock()
        self.handlers = {}
        self.waiting = {}
        self.next_msg_id = 0
        # Set by the first message after init: all nodes are there then.
        self.started = threading.Event()

    def peers(self):
        return [other for other in self.ids if other != self.id]

    def on(self, kind):
        """Registers a handler: it gets a message and gives the body of the reply, or None."""
        def register(handler):
            self.handlers[kind] = handler
            return handler
        return register

    def every(self, seconds):
        """Calls a function again and again, once the node has started."""
        def register(function):
            def loop():
                self.started.wait()
                while True:
                    function()
                    time.sleep(seconds)
            threading.Thread(target=loop, daemon=True).start()
            return function
        return register

    def send(self, dest, body):
        line = json.dumps({"src": self.id, "dest": dest, "body": body})
        with self.lock:
            print(line, flush=True)

    def reply(self, message, body):
        self.send(message["src"], dict(body, in_reply_to=message["body"]["msg_id"]))

    def rpc(self, dest, body, timeout=1):
        """Asks another node or a service and waits for the reply."""
        answered = threading.Event()
        with self.lock:
            self.next_msg_id += 1
            msg_id = self.next_msg_id
            self.waiting[msg_id] = [answered, None]
        self.send(dest, dict(body, msg_id=msg_id))
        answered.wait(timeout)
        with self.lock:
            _, reply = self.waiting.pop(msg_id)
        if reply is None:
            raise Error(0, "no reply")
        if reply["type"] == "error":
            raise Error(reply["code"], reply.get("text", ""))
        return reply

    def handle(self, message):
        try:
            body = self.handlers[message["body"]["type"]](message)
        except Error as error:
            body = {"type": "error", "code": error.code, "text": error.text}
        if body is not None:
            self.reply(message, body)

    def run(self):
        for line in sys.stdin:
            message = json.loads(line)
            body = message["body"]
            if "in_reply_to" in body:
                with self.lock:
                    waiting = self.waiting.get(body["in_reply_to"])
                    if waiting:
                        waiting[1] = body
                        waiting[0].set()
            elif body["type"] == "init":
                self.id = body["node_id"]
                self.ids = body["node_ids"]
                self.reply(message, {"type": "init_ok"})
            else:
                self.started.set()
                threading.Thread(target=self.handle, args=(message,), daemon=True).start()
