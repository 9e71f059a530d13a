"""A server of others in a test: it may die, or stand still, at any time."""
import os
import signal


class Server:
    process = None # a lab.Process once it is started

    def kill(self):
        if self.process and self.process.alive():
            os.kill(self.process.popen.pid, signal.SIGKILL)
            self.process.popen.wait()

    def stop(self):
        os.kill(self.process.popen.pid, signal.SIGSTOP)

    def go_on(self):
        os.kill(self.process.popen.pid, signal.SIGCONT)
