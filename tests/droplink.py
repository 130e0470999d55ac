"""A TCP link that can lose everything without telling anybody, as a cable does that was pulled."""
import selectors
import socket
import threading
import time


class DropLink:
    """Listens on `port`; passes bytes on to 127.0.0.1:`to`, until drop() and again after heal()."""

    def __init__(self, to):
        self.to = to
        self.is_dropped = False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.is_stopping = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def drop(self):
        self.is_dropped = True

    def heal(self):
        """What was lost stays lost: the connections of before are broken, new ones pass."""
        self.is_dropped = False

    def close(self):
        self.is_stopping = True
        self.thread.join(5)
        self.listener.close()

    def unlink(self, one):
        for end in (one, self.others.pop(one, None)):
            if end is not None:
                self.others.pop(end, None)
                if end.fileno() >= 0:
                    self.selector.unregister(end)
                    end.close()

    def accept(self):
        near = self.listener.accept()[0]
        try:
            far = socket.create_connection(("127.0.0.1", self.to))
        except OSError:
            near.close()
            return
        self.others[near], self.others[far] = far, near
        for end in (near, far):
            self.selector.register(end, selectors.EVENT_READ)

    def run(self):
        self.others, self.lossy = {}, set()
        while not self.is_stopping:
            for key, _ in self.selector.select(0.05):
                end = key.fileobj
                if end is self.listener:
                    if self.is_dropped:
                        time.sleep(0.01)  # they wait in the backlog, as a lost SYN does
                    else:
                        self.accept()
                    continue
                if end not in self.others:
                    continue
                try:
                    data = end.recv(65536)
                    other = self.others[end]
                    if self.is_dropped and data:
                        self.lossy |= {end, other}
                    elif not data or end in self.lossy:
                        self.unlink(end)
                    else:
                        other.sendall(data)
                except OSError:
                    self.unlink(end)
        for end in list(self.others):
            self.unlink(end)
