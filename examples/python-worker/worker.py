"""Serves two functions to Longhaul, with nothing but the stubs that protoc makes of its contract."""

import os
import signal
import sys
import threading
from collections import Counter

import grpc
from google.protobuf import duration_pb2, json_format, struct_pb2
from longhaul.v1 import worker_service_pb2 as wire
from longhaul.v1 import worker_service_pb2_grpc as services


class JobError(Exception):
    """How a function says that it failed, and whether trying again may help."""

    def __init__(self, code, message, retryable=False):
        super().__init__(message)
        self.code = code
        self.retryable = retryable


def count_words(job, worker):
    worker.log(job, "looking at the text")
    words = json_format.MessageToDict(job.input)["text"].lower().split()
    counts = Counter(words)
    worker.progress(job, {"words": len(words)})
    commonest = max(counts, key=lambda word: (counts[word], word), default=None)
    return {"words": len(words), "commonest": commonest}


def check_words(job, worker):
    words = json_format.MessageToDict(job.input)["words"]
    if words > 100:
        raise JobError("too_many_words", f"{int(words)} words are more than 100")
    return {"ok": True}


FUNCTIONS = {"count-words": count_words, "check-words": check_words}


class Worker:
    def __init__(self, target, key=None):
        self.stub = services.WorkerServiceStub(grpc.insecure_channel(target))
        self.metadata = [("authorization", f"Bearer {key}")] if key else []
        self.stopping = threading.Event()

    def call(self, method, request, seconds=10):
        return method(request, timeout=seconds, metadata=self.metadata)

    def log(self, job, *lines):
        self.call(self.stub.Log, wire.WorkerServiceLogRequest(id=job.id, fence=job.fence, lines=lines))

    def progress(self, job, delta):
        request = wire.WorkerServiceProgressRequest(id=job.id, fence=job.fence, delta=value_of(delta))
        self.call(self.stub.Progress, request)

    def run(self):
        served = [wire.ServedFunction(name=name, capacity=1) for name in FUNCTIONS]
        poll = wire.WorkerServicePollRequest(
            worker=f"python-{os.getpid()}", functions=served, wait=duration_pb2.Duration(seconds=5)
        )
        while not self.stopping.is_set():
            try:
                jobs = self.call(self.stub.Poll, poll, seconds=15).jobs
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    raise
                self.stopping.wait(0.5)
                continue
            kept = Kept(self, jobs)
            for job in jobs:
                if self.stopping.is_set():
                    kept.give_back(job)
                else:
                    self.perform(job, kept)
            kept.end()

    def perform(self, job, kept):
        try:
            output = FUNCTIONS[job.function](job, self)
            request = wire.WorkerServiceCompleteRequest(id=job.id, fence=job.fence, output=value_of(output))
            method = self.stub.Complete
        except JobError as error:
            # What may pass is tried again, as the node's `retry` says.
            failure = wire.JobError(code=error.code, message=str(error), retryable=error.retryable)
            request = wire.WorkerServiceFailRequest(id=job.id, fence=job.fence, error=failure)
            method = self.stub.Fail
        # Until it is taken, or another worker has the job: the same answer again does no harm.
        while job.id in kept.leases:
            try:
                self.call(method, request)
                kept.forget(job)
            except grpc.RpcError as error:
                if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                    print(f"the answer was refused: {error.details()}", file=sys.stderr)
                    kept.forget(job)
                self.stopping.wait(0.2)


class Kept:
    """Keeps the leases of jobs by heartbeats until each is answered."""

    def __init__(self, worker, jobs):
        self.worker = worker
        self.leases = {job.id: job.fence for job in jobs}
        self.ended = threading.Event()
        self.pause = min((job.lease.ToTimedelta().total_seconds() for job in jobs), default=30) / 3
        self.thread = threading.Thread(target=self.beat, daemon=True)
        self.thread.start()

    def beat(self):
        while not self.ended.wait(self.pause):
            holds = [wire.JobHold(id=each, fence=fence) for each, fence in list(self.leases.items())]
            if not holds:
                continue
            try:
                answer = self.worker.call(self.worker.stub.Heartbeat, wire.WorkerServiceHeartbeatRequest(jobs=holds))
            except grpc.RpcError:
                continue
            for standing in answer.jobs:
                if standing.verdict != wire.JOB_VERDICT_CONTINUE:
                    self.leases.pop(standing.id, None)

    def give_back(self, job):
        hold = wire.JobHold(id=job.id, fence=job.fence)
        self.worker.call(self.worker.stub.Release, wire.WorkerServiceReleaseRequest(jobs=[hold]))
        self.forget(job)

    def forget(self, job):
        self.leases.pop(job.id, None)

    def end(self):
        self.ended.set()
        self.thread.join()


def value_of(data):
    return json_format.ParseDict(data, struct_pb2.Value())


if __name__ == "__main__":
    worker = Worker(sys.argv[1], os.environ.get("LONGHAUL_KEY"))
    signal.signal(signal.SIGTERM, lambda *_: worker.stopping.set())
    print("the worker serves " + ", ".join(FUNCTIONS), flush=True)
    worker.run()
